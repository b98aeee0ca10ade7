"""What the continuation of a broken stream rests on: vLLM, given the ids of what it said, says the rest of it.

It knows the engine alone, no front.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.engine.cell_process import CellProcess, events
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
PROMPTS = ("Write code", "Grüße aus Köln, schöne Straße", "日本語で書いてください", "😀🎉👍🏽 emoji 👩‍👩‍👧")
TOKENS = 20
# A tiny random model repeats one token otherwise.
GREEDY = {"model": "tiny", "stream": True, "temperature": 0, "repetition_penalty": 1.3}
USAGE = {"stream_options": {"include_usage": True}}
# Enough to make every third token or so a part of a character, whose text vLLM holds back.
BIAS = 0.6
_IDS = re.compile(rb'"((?:prompt_)?token_ids)":\[[0-9,]*\]')
_OWN = re.compile(rb'"id":"[^"]*"|"created":\d+')


class Piece(NamedTuple):
    """One event of a stream. A token whose text is held back is one with ids and no text."""

    text: str
    ids: list[int]
    finish: tuple[str | None, Any]


class Said(NamedTuple):
    prompt_ids: list[int]
    pieces: list[Piece]
    usage: dict[str, Any]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def spoken(self, cut: int) -> list[int]:
        """Ids of the first `cut` events, up to the last one that had text."""
        ids: list[int] = []
        spoken = 0
        for piece in self.pieces[:cut]:
            ids += piece.ids
            spoken = len(ids) if piece.text else spoken
        return ids[:spoken]


@pytest.fixture(scope="module")
def byte_bias(engine_cell: CellProcess) -> dict[str, float]:
    """A `logit_bias` towards the tokens that characters beyond the vocabulary are made of."""
    with engine_cell.request("/tokenize", {"model": "tiny", "prompt": "😀🎉👍🏽日本語ß"}) as response:
        return {str(token): BIAS for token in json.load(response)["tokens"]}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_cut_anywhere_goes_on_to_the_same_text(
    engine_cell: CellProcess, byte_bias: dict[str, float], path: str
) -> None:
    held_back = 0
    for prompt in PROMPTS:
        body = asked(path, prompt, logit_bias=byte_bias)
        whole = say(engine_cell, path, body)
        held_back += sum(bool(piece.ids and not piece.text) for piece in whole.pieces[:-1])
        for cut in range(1, len(whole.pieces)):
            assert_same(whole, cut, rest_of(engine_cell, whole, cut, body))
    assert held_back >= TOKENS / 2


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_that_ends_at_a_token_ends_there_when_it_was_cut(engine_cell: CellProcess, path: str) -> None:
    ids = [token for piece in say(engine_cell, path, asked(path, PROMPTS[1])).pieces for token in piece.ids]
    last = next(token for at, token in enumerate(ids) if at > TOKENS / 3 and token not in ids[:at])
    body = asked(path, PROMPTS[1], stop_token_ids=[last])
    whole = say(engine_cell, path, body)
    assert whole.pieces[-1].finish == ("stop", last)
    for cut in range(1, len(whole.pieces)):
        assert_same(whole, cut, rest_of(engine_cell, whole, cut, body))


@pytest.mark.parametrize("options", [{}, USAGE], ids=["plain", "usage"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_asking_for_ids_changes_nothing_else_on_the_wire(
    engine_cell: CellProcess, byte_bias: dict[str, float], path: str, options: dict[str, Any]
) -> None:
    for prompt in PROMPTS:
        body = {**asked(path, prompt, logit_bias=byte_bias), "stream_options": None, **options}
        with_ids, without = (wire(engine_cell, path, {**body, "return_token_ids": ask}) for ask in (True, None))
        assert with_ids != without
        assert _IDS.sub(rb'"\1":null', with_ids) == without


def asked(path: str, prompt: str, **fields: Any) -> dict[str, Any]:
    content = {"messages": [{"role": "user", "content": prompt}]} if path == CHAT else {"prompt": prompt}
    return {**GREEDY, **USAGE, **content, "max_tokens": TOKENS, "return_token_ids": True, **fields}


def rest_of(cell: CellProcess, whole: Said, cut: int, body: dict[str, Any]) -> Said:
    """What the engine says after the ids of the first `cut` events."""
    ids = whole.spoken(cut)
    fields = {name: value for name, value in body.items() if name != "messages"}
    left = {"prompt": whole.prompt_ids + ids, "max_tokens": TOKENS - len(ids)}
    return say(cell, COMPLETIONS, {**fields, **left})


def assert_same(whole: Said, cut: int, rest: Said) -> None:
    before, spoken = "".join(piece.text for piece in whole.pieces[:cut]), len(whole.spoken(cut))
    assert before + rest.text == whole.text, (cut, before)
    assert rest.pieces[-1].finish == whole.pieces[-1].finish, cut
    assert rest.usage["prompt_tokens"] == whole.usage["prompt_tokens"] + spoken
    assert rest.usage["completion_tokens"] == whole.usage["completion_tokens"] - spoken


def say(cell: CellProcess, path: str, body: dict[str, Any]) -> Said:
    with cell.request(path, body) as response:
        assert response.status == 200, response.read()
        *seen, usage, done = events(response)
    assert done == "[DONE]"
    first = seen[0] if path == CHAT else seen[0]["choices"][0]
    return Said(first["prompt_token_ids"], list(pieces(seen)), usage["usage"])


def pieces(seen: list[Any]) -> Iterator[Piece]:
    for event in seen:
        (choice,) = event["choices"]
        text = choice["text"] if "text" in choice else choice["delta"].get("content") or ""
        yield Piece(text, choice.get("token_ids") or [], (choice["finish_reason"], choice.get("stop_reason")))


def wire(cell: CellProcess, path: str, body: dict[str, Any]) -> bytes:
    """A stream's bytes without its own id and time. Asked again where a busy machine put two tokens in one event."""

    def told() -> bytes:
        with cell.request(path, body) as response:
            told = _OWN.sub(b"", response.read())
        return told if told.count(b'"finish_reason"') == TOKENS + (path == CHAT) else b""

    return eventually(told, 30, "a stream with an event for each token")
