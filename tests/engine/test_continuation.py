"""Streams of a real vLLM that are cut on their way: the front goes on with them, and their client sees none of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import openai
import pytest
from openai import OpenAI

from tests.engine.cell_process import CellProcess
from tests.engine.told import CHAT, COMPLETIONS, GREEDY, USAGE, ask, told
from tests.support.cut_proxy import CutProxy, How
from tests.support.front_process import Front
from tests.support.raw_http import Answer, parsed
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

PROMPT = "Grüße aus Köln, 日本語で 😀"
TOKENS = 16
# Enough to make every third token or so a part of a character, whose text vLLM holds back.
BIAS = 0.6


class World(NamedTuple):
    """One cell that the front takes for two engines, behind a proxy that cuts what it is told to."""

    front: Front
    proxy: CutProxy
    bias: dict[str, float]

    def ask(self, path: str, **fields: Any) -> Answer:
        content = {"messages": [{"role": "user", "content": PROMPT}]} if path == CHAT else {"prompt": PROMPT}
        return ask(self.front, path, {**GREEDY, "max_tokens": TOKENS, "logit_bias": self.bias, **content, **fields})

    def ask_cut(self, path: str, after: int, how: How = "fin", **fields: Any) -> Answer:
        """Asked again where a busy machine put several tokens in one event, so that there were fewer events."""
        before = self.proxy.cuts

        def cut() -> Answer | None:
            self.proxy.cut(after, how=how)
            answer = self.ask(path, **fields)
            return answer if self.proxy.cuts > before else None

        return eventually(cut, 60, f"a stream of more than {after} events")

    @property
    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.front.base_url}/v1", api_key=self.front.key, max_retries=0)


@pytest.fixture(scope="module")
def world(engine_cell: CellProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with engine_cell.request("/tokenize", {"model": "tiny", "prompt": "😀🎉👍🏽日本語ß"}) as response:
        bias = {str(token): BIAS for token in json.load(response)["tokens"]}
    with CutProxy(("127.0.0.1", engine_cell.port)) as proxy:
        front = Front(proxy.urls, folder=tmp_path_factory.mktemp("front"))
        try:
            yield World(front.start(), proxy, bias)
        finally:
            front.kill()


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_that_is_cut_anywhere_is_one_stream_to_its_client(world: World, path: str) -> None:
    whole = told(world.ask(path, **USAGE))
    for after in range(1, finish_of(path) + 1):
        how: How = "fin" if after % 2 else "rst"
        assert told(world.ask_cut(path, after, how, **USAGE)) == whole, (after, how)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_that_is_cut_before_its_last_word_counts_once(world: World, path: str) -> None:
    whole = told(world.ask(path, **USAGE))
    assert told(world.ask_cut(path, finish_of(path) + 1, **USAGE)) == whole


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_nobody_gets_counts_or_ids_that_did_not_ask(world: World, path: str) -> None:
    whole = told(world.ask(path))
    for after in (1, TOKENS // 2, finish_of(path), finish_of(path) + 1):
        answer = world.ask_cut(path, after)
        assert b'"usage"' not in answer.body
        assert b'_ids":[' not in answer.body
        assert told(answer) == whole, after


def test_a_stream_that_got_on_goes_on_a_second_time(world: World) -> None:
    whole = told(world.ask(CHAT, max_tokens=4 * TOKENS, **USAGE))
    before = world.proxy.cuts
    world.proxy.cut(TOKENS + 2, TOKENS + 2)
    answer = world.ask(CHAT, max_tokens=4 * TOKENS, **USAGE)
    assert world.proxy.cuts == before + 2
    assert told(answer) == whole


def test_a_stream_that_ends_at_a_token_ends_there(world: World) -> None:
    ids = [token for event in parsed(world.ask(CHAT, return_token_ids=True).events) for token in ids_of(event)]
    last = next(token for at, token in enumerate(ids) if at > TOKENS / 3 and token not in ids[:at])
    whole = told(world.ask(CHAT, stop_token_ids=[last], **USAGE))
    assert whole.finishes == [("stop", last)]
    for after in range(1, ids.index(last) + 2, 2):
        assert told(world.ask_cut(CHAT, after, stop_token_ids=[last], **USAGE)) == whole, after


def test_the_openai_client_reads_it_as_one(world: World) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0}
    asked |= {"max_tokens": TOKENS, "logit_bias": world.bias, "extra_body": {"repetition_penalty": 1.3}}
    whole = world.openai.chat.completions.create(**asked)
    world.proxy.cut(TOKENS // 2)
    chunks = list(world.openai.chat.completions.create(stream=True, **USAGE, **asked))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["length"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, TOKENS)


@pytest.mark.parametrize("after", [2, TOKENS // 2, TOKENS + 2])
def test_a_turn_whose_stream_was_cut_is_kept_whole(world: World, after: int) -> None:
    assert eventually(lambda: two_turns(world, after), 60, "a turn that is cut") == two_turns(world)


def two_turns(world: World, *cuts: int) -> tuple[Any, ...] | None:
    """What the first said, and what the second makes of it; None where a busy machine left too few events to cut."""
    before, session = world.proxy.cuts, uuid4().hex
    world.proxy.cut(*cuts)
    first = told(world.ask(CHAT, session_id=session))
    if world.proxy.cuts < before + len(cuts):
        return None
    second = told(world.ask(CHAT, session_id=session, **USAGE))
    return first.text, second.text, second.usages


def test_a_stream_that_breaks_again_at_once_ends_with_an_error(world: World) -> None:
    world.proxy.cut(2, 1)
    assert_failed(world.ask(CHAT))


UNSAFE = {
    "grammar": {"response_format": {"type": "json_object"}},
    "a penalty on what was said": {"frequency_penalty": 0.5},
    "choices": {"n": 2, "temperature": 1},
}


@pytest.mark.parametrize("fields", UNSAFE.values(), ids=UNSAFE)
def test_what_cannot_go_on_ends_with_an_error(world: World, fields: dict[str, Any]) -> None:
    world.proxy.cut(3)
    answer = world.ask(CHAT, **fields)
    assert_failed(answer)
    assert len(answer.events) == 4


def test_the_openai_client_is_told_of_what_cannot_go_on(world: World) -> None:
    world.proxy.cut(3)
    stream = world.openai.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        max_tokens=TOKENS,
        n=2,
    )
    with pytest.raises(openai.APIError):
        list(stream)


def assert_failed(answer: Answer) -> None:
    assert (answer.status, answer.end) == (200, "cut")
    assert b"[DONE]" not in answer.body
    assert set(parsed(answer.events)[-1]) == {"error"}


def ids_of(event: dict[str, Any]) -> list[int]:
    return [token for choice in event["choices"] for token in choice.get("token_ids") or ()]


def finish_of(path: str) -> int:
    """The number of the event that has the finish reason: a chat has one before its tokens."""
    return TOKENS + (path == CHAT)
