"""Characters, events and chunks cut anywhere: the bytes on the other side are the same."""

from __future__ import annotations

import json

import pytest

from tests.support.script import Script
from tests.support.vllm_wire import is_usage_only
from tests.support.world import BODIES, CHAT, World, chat_body

WORDS = ("Grüße", " 😀😀", " 日本語", "\u2028", " \\n\n", "\U0001d518")


def test_a_character_cut_between_segments_of_the_request_stays_whole(solo: World) -> None:
    body = json.dumps(chat_body(user="ü😀日"), ensure_ascii=False).encode()
    raw = solo.request(CHAT, body)
    cut = raw.index("😀".encode()) + 2
    with solo.wire() as wire:
        assert wire.send(raw[:cut], raw[cut:], gap=0.02).answer().status == 200
    assert solo.engine.seen[0].body["user"] == "ü😀日"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "cuts",
    [
        {"bytes_per_write": 1},
        {"bytes_per_write": 3},
        {"bytes_per_chunk": 1},
        {"bytes_per_chunk": 50, "bytes_per_write": 7},
        {"events_per_write": 3},
        {"events_per_write": 1000},
        {"framing": "close", "bytes_per_write": 5},
        {"crlf": True},
        {"crlf": True, "bytes_per_write": 1},
        {"crlf": True, "events_per_write": 3, "bytes_per_chunk": 11},
    ],
    ids=lambda cuts: ",".join(f"{name}={value}" for name, value in cuts.items()),
)
def test_however_the_engine_cuts_its_stream_the_client_gets_the_same_bytes(
    solo: World, path: str, cuts: dict[str, int]
) -> None:
    solo.engine.script = Script(WORDS, write_gap=0, **cuts)
    answer = solo.ask(path, {**BODIES[path], "stream": True})
    sent = solo.engine.seen[0].events
    assert answer.body == b"".join(event for event in sent if not is_usage_only(event))
    assert answer.end == "complete"


@pytest.mark.parametrize("cuts", [{"bytes_per_write": 1}, {"bytes_per_write": 100}, {"framing": "close"}])
def test_however_the_engine_cuts_its_document_the_client_gets_the_same_bytes(solo: World, cuts: dict[str, int]) -> None:
    solo.engine.script = Script(WORDS, write_gap=0, **cuts)
    answer = solo.say(stream=False)
    assert answer.body == solo.engine.seen[0].events[0]
    assert answer.end == "complete"


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_a_huge_event_passes(solo: World, size: int) -> None:
    solo.engine.script = Script(("a", "x" * size, "b"))
    assert solo.say().text == "a" + "x" * size + "b"


def test_a_huge_document_passes(solo: World) -> None:
    solo.engine.script = Script(("x" * 3_000_000,))
    assert len(solo.say(stream=False).json()["choices"][0]["message"]["content"]) == 3_000_000
