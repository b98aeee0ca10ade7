"""Requests that are too large, and large ones that are not."""

from __future__ import annotations

import json

import pytest

from tests.support.raw_http import Answer
from tests.support.world import CHAT, HELLO, MakeWorld, World, chat_body

KIB = 1024


@pytest.fixture
def narrow(world: MakeWorld) -> World:
    return world(settings={"front.limits.body_bytes": 64 * KIB, "front.limits.head_bytes": 8 * KIB})


def filled(size: int) -> bytes:
    """A good chat body of exactly `size` bytes."""
    empty = len(json.dumps(chat_body(messages=[{"role": "user", "content": ""}])))
    return json.dumps(chat_body(messages=[{"role": "user", "content": "x" * (size - empty)}])).encode()


def answer_and_close(world: World, raw: bytes) -> Answer:
    with world.wire() as wire:
        answer = wire.send(raw).answer()
        assert wire.is_closed()
    assert not world.engine.seen
    return answer


@pytest.mark.parametrize(
    "headers",
    [{"X-Large": "x" * 9 * KIB}, {f"X-{number}": "x" * 80 for number in range(100)}],
    ids=["one", "many"],
)
def test_an_oversize_head_is_refused_and_closed(narrow: World, headers: dict[str, str]) -> None:
    answer = answer_and_close(narrow, narrow.request(CHAT, chat_body(), headers=headers))
    assert answer.status in (400, 431)
    assert answer.error["type"] == "invalid_request_error"


def test_an_oversize_target_is_refused_and_closed(narrow: World) -> None:
    answer = answer_and_close(narrow, narrow.request("/v1/models?" + "x" * 9 * KIB))
    assert answer.status in (400, 414, 431)


@pytest.mark.parametrize("framing", ["Content-Length: 10000000", "Transfer-Encoding: chunked"])
def test_a_long_body_without_a_good_key_is_refused_before_its_end(solo: World, framing: str) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nobody\r\n{framing}\r\n\r\n".encode()
    part = b"x" * 128 * KIB
    with solo.wire() as wire:
        answer = wire.send(head + (b"%x\r\n%b\r\n" % (len(part), part) if "chunked" in framing else part)).answer()
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert wire.is_closed(within=3)


def test_an_endless_head_is_cut_off(narrow: World) -> None:
    with narrow.wire() as wire:
        wire.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Endless: ")
        try:
            for _ in range(200):
                wire.send(b"x" * KIB)
        except OSError:
            return
        assert wire.is_closed(within=2)


def test_a_head_below_the_limit_is_accepted(narrow: World) -> None:
    assert narrow.say(headers={"X-Large": "x" * 6 * KIB}).text == "Hello, world"


def test_each_head_of_a_connection_has_the_whole_limit(narrow: World) -> None:
    raw = narrow.request(CHAT, chat_body(), headers={"X-Large": "x" * 6 * KIB})
    with narrow.wire() as wire:
        for _ in range(3):
            assert wire.send(raw).answer().text == "Hello, world"
        wire.send(raw * 3)
        assert [wire.answer().text for _ in range(3)] == ["Hello, world"] * 3


def test_a_declared_oversize_body_is_413_before_it_is_sent(narrow: World) -> None:
    whole = narrow.request(CHAT, filled(65 * KIB))
    with narrow.wire() as wire:
        answer = wire.send(whole[: whole.index(b"\r\n\r\n") + 4]).answer()
    assert answer.status == 413
    assert answer.error["code"] == "request_too_large"


def test_an_oversize_body_sent_in_full_still_gets_its_413(narrow: World) -> None:
    answer = answer_and_close(narrow, narrow.request(CHAT, filled(200 * KIB)))
    assert answer.status == 413


def test_a_chunked_oversize_body_is_413_while_it_is_read(narrow: World) -> None:
    head = narrow.request(CHAT, method="POST", headers={"Transfer-Encoding": "chunked"})
    with narrow.wire() as wire:
        wire.send(head, *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 17)
        assert wire.answer().status == 413
        assert wire.is_closed()


def test_a_body_of_exactly_the_limit_is_accepted(narrow: World) -> None:
    assert narrow.ask(CHAT, filled(64 * KIB)).text == "Hello, world"
    assert narrow.ask(CHAT, filled(64 * KIB + 1)).status == 413


def test_an_oversize_body_on_a_cold_route_is_refused_too(narrow: World) -> None:
    assert narrow.ask("/v1/models", b"x" * 65 * KIB, method="POST").status in (405, 413)


def test_twelve_megabytes_of_prompt_reach_the_engine_whole(solo: World) -> None:
    content = "é" * (2 * KIB * KIB)  # six bytes each in JSON
    answer = solo.say(messages=[*HELLO, {"role": "user", "content": content}])
    assert answer.text == "Hello, world"
    assert solo.engine.seen[0].body["messages"][1]["content"] == content
