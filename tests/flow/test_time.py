"""Engines that are slow or hang: heartbeats, and the time-outs before and after the first byte."""

from __future__ import annotations

import time

import pytest

from tests.support.raw_http import parsed
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, COMPLETIONS, MESSAGES, MakeWorld, World

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.fixture
def beating(world: MakeWorld) -> World:
    return world(settings={"front.heartbeat_seconds": 0.3})


@pytest.fixture
def impatient(world: MakeWorld) -> World:
    return world(settings={"front.timeouts.idle_seconds": 1, "front.timeouts.first_byte_seconds": 1})


@pytest.mark.parametrize("at", [BEFORE_HEAD, 0], ids=["before-the-head", "after-the-head"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_hang_before_the_first_byte_is_504(impatient: World, at: int, stream: bool) -> None:
    impatient.engine.script = Script(fault="hang", at=at)
    started = time.monotonic()
    answer = impatient.say(stream=stream)
    assert answer.status == 504
    assert answer.error["code"] == "engine_timeout"
    assert 0.9 < time.monotonic() - started < 3
    eventually(lambda: impatient.engine.in_flight == 0, within=1, what="engine free")


def test_a_slow_but_living_stream_is_not_timed_out(impatient: World) -> None:
    impatient.engine.script = Script(("a",), gap=0.6, usage=False)
    answer = impatient.say()
    assert (answer.text, answer.end) == ("a", "complete")


@pytest.mark.parametrize("path", BODIES)
def test_silence_before_the_first_event_gets_heartbeats(beating: World, path: str) -> None:
    beating.engine.script = Script(first_delay=0.9)
    with beating.wire() as wire:
        started = time.monotonic()
        answer = wire.send(beating.request(path, {**BODIES[path], "stream": True})).head()
        assert (answer.status, answer.headers["content-type"][:17]) == (200, "text/event-stream")
        events = wire.events(answer)
        first = next(events)
        assert 0.25 < time.monotonic() - started < 0.9
        rest = list(events)
    beat = PING if path == MESSAGES else b": heartbeat\n\n"
    assert first == beat
    assert 2 <= [first, *rest].count(beat) <= 4
    sent = beating.engine.seen[0].events
    unasked = 1 if path in (CHAT, COMPLETIONS) else 0
    assert len([event for event in rest if event != beat]) == len(sent) - unasked


def test_no_heartbeat_comes_while_events_come(beating: World) -> None:
    beating.engine.script = Script(("a",) * 8, gap=0.1)
    assert beating.say().comments == []


def test_silence_mid_stream_gets_heartbeats_between_events(beating: World) -> None:
    beating.engine.script = Script(("a",), gap=0.7, usage=False)
    answer = beating.say()
    assert (answer.text, answer.end) == ("a", "complete")
    assert len(answer.comments) >= 3
    assert b"".join(answer.events) == b"".join(beating.engine.seen[0].events)


def test_a_heartbeat_never_falls_inside_an_event(beating: World) -> None:
    beating.engine.script = Script((), usage=False, bytes_per_write=120, write_gap=0.4)
    answer = beating.say()
    assert b"".join(answer.events) == b"".join(beating.engine.seen[0].events)
    assert parsed(answer.events)
    assert answer.end == "complete"


def test_a_document_gets_no_heartbeat(beating: World) -> None:
    beating.engine.script = Script(first_delay=0.8)
    answer = beating.say(stream=False)
    assert answer.body == beating.engine.seen[0].events[0]


@pytest.mark.parametrize("at", [BEFORE_HEAD, 0])
def test_a_failure_after_a_heartbeat_is_an_error_event(beating: World, at: int) -> None:
    delay = {"head_delay": 0.7} if at == BEFORE_HEAD else {"first_delay": 0.7}
    beating.engine.script = Script(fault="fin", at=at, **delay)
    answer = beating.say()
    assert answer.status == 200
    assert answer.comments
    assert "error" in parsed(answer.events)[-1]
    assert answer.end == "cut"


def test_a_refusal_after_a_heartbeat_is_an_error_event(beating: World) -> None:
    beating.engine.script = Script(head_delay=0.7, status=400, body=b'{"error":{"message":"too long","type":"x"}}')
    answer = beating.say()
    assert answer.status == 200
    assert parsed(answer.events)[-1]["error"]["message"] == "too long"
    assert b"[DONE]" not in answer.body


def test_a_failure_before_a_heartbeat_keeps_its_status(beating: World) -> None:
    beating.engine.script = Script(status=400, body=b'{"error":{"message":"too long","type":"x"}}')
    assert beating.say().status == 400


def test_another_engine_may_still_take_over_after_a_heartbeat(world: MakeWorld) -> None:
    pair = world(2, {"front.heartbeat_seconds": 0.3, "front.retry.budget_ratio": 1})
    once = [Script(first_delay=0.6, fault="fin", at=0)]
    for engine in pair.engines:
        engine.decide = lambda _: once.pop() if once else None
    answer = pair.say()
    assert answer.comments
    assert (answer.text, answer.end) == ("Hello, world", "complete")


def test_a_request_has_a_total_time(world: MakeWorld) -> None:
    bounded = world(settings={"front.timeouts.total_seconds": 1})
    bounded.engine.script = Script(("a",) * 50, gap=0.1)
    answer = bounded.say()
    assert answer.end == "cut"
    assert "error" in parsed(answer.events)[-1]
    eventually(lambda: bounded.engine.in_flight == 0, within=1, what="engine free")
