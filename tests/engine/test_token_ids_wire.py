"""Token ids on the wire, and going on from them: what is true of a real vLLM is true of the scripted engine."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.cell_process import CellProcess
from tests.engine.told_tokens import CHAT, COMPLETIONS, LENGTH, Engine, Told
from tests.support import token_ids
from tests.support.script import Script, tokens
from tests.support.scripted_engine import ScriptedEngine
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

FEW = 3
ENDS: dict[str, dict[str, Any]] = {
    "length": {"max_tokens": FEW},
    "stop": {"user": "stops", "logit_bias": {"2": 100}, "max_tokens": FEW},
    "silent": {"user": "silent", "logit_bias": {"0": 100}, "max_tokens": FEW},
}
"""The bias makes vLLM choose EOS at once, or tokens that have no text; the scripted engine goes by the user."""


@pytest.fixture(scope="module")
def double() -> Iterator[ScriptedEngine]:
    engine = _double(tokens_per_event=1)
    yield engine
    engine.down()


@pytest.fixture(scope="module")
def hurried() -> Iterator[ScriptedEngine]:
    """Tells several tokens at once, as a vLLM that falls behind."""
    engine = _double(tokens_per_event=3)
    yield engine
    engine.down()


@pytest.fixture(scope="module", params=["engine_cell", "double", "hurried"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(request.getfixturevalue(request.param).port)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_each_event_tells_the_tokens_it_is_of(engine: Engine, path: str) -> None:
    told = Told.read(engine.stream(path))
    _, ids, finish = told.after(0)
    assert all(of_event for _, of_event, _ in told.events)
    assert (len(ids), finish) == (LENGTH, "length")
    assert (told.usage["prompt_tokens"], told.usage["completion_tokens"]) == (len(told.prompt), LENGTH)


def test_only_the_first_event_of_a_completion_tells_the_prompt(engine: Engine) -> None:
    first, *others = re.findall(rb'"prompt_token_ids":(\[|null)', engine.stream(COMPLETIONS))
    assert (first, set(others)) == (b"[", {b"null"})


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", ENDS.values(), ids=ENDS)
def test_an_engine_that_is_not_asked_says_null_in_the_same_bytes(
    engine: Engine, path: str, fields: dict[str, Any]
) -> None:
    def same() -> bool:
        asked, unasked = (engine.stream(path, **fields, return_token_ids=wanted) for wanted in (True, False))
        return _same_for_all(re.sub(rb'token_ids":\[[0-9,]+\]', b'token_ids":null', asked)) == _same_for_all(unasked)

    eventually(same, 60, "two streams of as many events")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stop_is_a_token_without_text(engine: Engine, path: str) -> None:
    told = Told.read(engine.stream(path, **ENDS["stop"]))
    assert told.events == [("", [token_ids.EOS], "stop")]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_token_whose_text_is_held_back_is_told_too(engine: Engine, path: str) -> None:
    text, ids, _ = Told.read(engine.stream(path, **ENDS["silent"])).after(0)
    assert (text, len(ids)) == ("", FEW)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_prompt_of_ids_goes_on_where_the_stream_was_cut(engine: Engine, path: str) -> None:
    whole = Told.read(engine.stream(path))
    cuts = [0, *(cut for cut in range(1, len(whole.events)) if whole.events[cut - 1][0])]
    assert len(cuts) >= LENGTH / 6
    for cut in cuts:
        text, ids, finish = whole.after(cut)
        prompt = whole.prompt + whole.after(0)[1][: LENGTH - len(ids)]
        rest = Told.read(engine.stream(COMPLETIONS, prompt=prompt, max_tokens=len(ids)))
        assert (rest.prompt, *rest.after(0)) == (prompt, text, ids, finish)
        assert (rest.usage["prompt_tokens"], rest.usage["completion_tokens"]) == (len(prompt), len(ids))


@pytest.mark.parametrize("fields", [{"max_tokens": None}, {}], ids=["null", "none"])
def test_a_prompt_of_ids_without_max_tokens_goes_on_for_sixteen(engine: Engine, fields: dict[str, Any]) -> None:
    prompt = Told.read(engine.stream(CHAT)).prompt
    status, body = engine.ask(COMPLETIONS, prompt=prompt, **fields)
    said = json.loads(body)
    assert status == 200, body
    assert said["choices"][0]["finish_reason"] == "length"
    assert (said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"]) == (len(prompt), token_ids.MAX_TOKENS)


def test_nothing_left_to_generate_is_refused(engine: Engine) -> None:
    prompt = Told.read(engine.stream(CHAT)).prompt
    status, body = engine.ask(COMPLETIONS, prompt=prompt, max_tokens=0, stream=True)
    assert (status, json.loads(body)["error"]["param"]) == (400, "max_tokens")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", ENDS.values(), ids=ENDS)
def test_the_scripted_engine_writes_the_bytes_of_vllm(
    engine_cell: CellProcess, double: ScriptedEngine, path: str, fields: dict[str, Any]
) -> None:
    def same() -> bool:
        real = Engine(engine_cell.port).stream(path, **fields)
        if fields == ENDS["length"]:
            double.next(Script(tokens=[text for text, _, _ in Told.read(real).events], finish="length"))
        return _events(Engine(double.port).stream(path, **fields)) == _events(real)

    eventually(same, 60, "a vLLM that tells one token at a time")


WRONG = {
    "no ids": [],
    "another prompt": [9, *token_ids.PROMPT[1:]],
    "half the prompt": [*token_ids.PROMPT[:3]],
    "a token left out": [*token_ids.PROMPT, 1001],
    "a token twice": [*token_ids.PROMPT, 1000, 1000],
    "past the end": [*token_ids.PROMPT, *range(1000, 1000 + LENGTH), token_ids.EOS],
}


@pytest.mark.parametrize("prompt", WRONG.values(), ids=WRONG)
def test_the_scripted_engine_refuses_ids_that_it_never_gave(double: ScriptedEngine, prompt: list[int]) -> None:
    status, body = Engine(double.port).ask(COMPLETIONS, prompt=prompt, stream=True)
    assert (status, json.loads(body)["error"]["param"]) == (400, "prompt")
    assert double.seen[-1].body["prompt"] == prompt


def test_what_goes_on_breaks_as_its_own_script_says(double: ScriptedEngine) -> None:
    double.next(Script(tokens=tokens(9), fault="fin", at=2))
    with pytest.raises(http.client.IncompleteRead) as cut:
        Engine(double.port).stream(COMPLETIONS, prompt=[*token_ids.PROMPT, 1000, 1001])
    assert cut.value.partial == b"".join(double.seen[-1].events)
    assert re.findall(rb'"token_ids":\[([0-9]+)\]', cut.value.partial) == [b"1002", b"1003"]


def _double(tokens_per_event: int) -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.gives_token_ids = True
    usual = Script(tokens=tokens(LENGTH), finish="length", tokens_per_event=tokens_per_event)
    engine.script = usual
    silent = replace(usual, tokens=("",) * LENGTH)
    engine.by_user = {"stops": replace(usual, tokens=(), finish="stop"), "silent": silent}
    return engine


def _same_for_all(body: bytes) -> bytes:
    """Without what is another in each answer."""
    body = re.sub(rb'"id":"[^"]+"', b'"id":"x"', body)
    return re.sub(rb'"(created|cached_tokens|created_cache_tokens)":[0-9]+', rb'"\1":0', body)


def _events(body: bytes) -> list[bytes]:
    """Up to the usage, of which vLLM says more; every list of ids is [0]."""
    events = re.sub(rb"\[[0-9,]+\]", b"[0]", _same_for_all(body)).split(b"\n\n")
    assert b'"usage":{' in events[-3]
    return events[:-3]
