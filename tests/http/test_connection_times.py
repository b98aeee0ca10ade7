"""How long a connection may stay idle, half-asked or open."""

from __future__ import annotations

import time

import pytest

from tests.support.script import Script
from tests.support.world import CHAT, MakeWorld, World, chat_body


@pytest.fixture
def hurried(world: MakeWorld) -> World:
    return world(settings={"front.timeouts.keep_alive_seconds": 0.5, "front.timeouts.head_seconds": 0.8})


def test_connection_close_closes_after_a_stream(solo: World) -> None:
    with solo.wire() as wire:
        answer = wire.send(solo.request(CHAT, chat_body(), headers={"Connection": "close"})).answer()
        assert answer.text == "Hello, world"
        assert answer.end == "complete"
        assert wire.is_closed(within=1)


def test_connection_close_closes_after_a_document(solo: World) -> None:
    asking = {"Connection": "keep-alive, Close"}
    with solo.wire() as wire:
        assert wire.send(solo.request(CHAT, chat_body(stream=False), headers=asking)).answer().status == 200
        assert wire.is_closed(within=1)


@pytest.mark.parametrize("stream", [True, False])
def test_an_idle_connection_is_closed_after_its_keep_alive_time(hurried: World, stream: bool) -> None:
    with hurried.wire() as wire:
        assert wire.send(hurried.chat(stream=stream)).answer().status == 200
        assert wire.is_silent(0.3)
        assert wire.is_closed(within=2)


def test_an_idle_connection_after_a_cold_request_is_closed_too(hurried: World) -> None:
    with hurried.wire() as wire:
        assert wire.send(hurried.request("/v1/models")).answer().status == 200
        assert wire.is_closed(within=2)


def test_a_connection_is_not_idle_while_its_stream_is_silent(hurried: World) -> None:
    hurried.engine.script = Script(first_delay=1.2)
    with hurried.wire() as wire:
        assert wire.send(hurried.chat()).answer().text == "Hello, world"


def test_a_long_answer_is_not_cut_by_the_time_for_the_request(hurried: World) -> None:
    hurried.engine.script = Script(gap=0.3)
    answer = hurried.say()
    assert (answer.text, answer.end) == ("Hello, world", "complete")


def test_a_connection_that_says_nothing_is_closed(hurried: World) -> None:
    with hurried.wire() as wire:
        assert wire.is_closed(within=3)


def test_a_client_that_never_ends_its_head_is_closed(hurried: World) -> None:
    with hurried.wire() as wire:
        assert wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n").is_closed(within=3)


def test_a_client_that_never_ends_its_body_is_closed(hurried: World) -> None:
    with hurried.wire() as wire:
        assert wire.send(hurried.chat()[:-20]).is_closed(within=3)
    assert not hurried.engine.seen


def test_the_second_request_of_a_connection_is_timed_as_the_first(hurried: World) -> None:
    with hurried.wire() as wire:
        assert wire.send(hurried.chat()).answer().status == 200
        assert wire.send(hurried.chat()[:-20]).is_closed(within=3)


def test_trickled_bytes_buy_no_more_time(hurried: World) -> None:
    raw, started = hurried.chat(), time.monotonic()
    with hurried.wire() as wire:
        wire.send(raw[:40])
        while time.monotonic() - started < 3 and wire.is_silent(0.1):
            try:
                wire.send(b"x")
            except OSError:
                break
    assert time.monotonic() - started < 2.5
