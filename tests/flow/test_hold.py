"""Requests that come while no engine of their model is ready: they wait, within bounds, and go out in order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import vllm_wire
from tests.support.front_process import START_SECONDS
from tests.support.raw_http import Wire, parsed
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually
from tests.support.world import CHAT, EMBEDDINGS, HELLO, MakeWorld, World, chat_body

EXPECTING: dict[str, Any] = {
    "front.models": '["tiny"]',
    "front.engine_poll_seconds": 0.1,
    "front.heartbeat_seconds": 0.2,
    "front.hold.seconds": 20,
}
QUIET = {**EXPECTING, "front.heartbeat_seconds": 5}
BUSY = Script(status=503, body=vllm_wire.error_body(503, "The engine is currently busy."))
DRAINING = b'{"error":{"message":"shutting down","type":"overloaded_error","param":null,"code":"draining"}}'


def from_zero(fresh_world: MakeWorld, settings: Mapping[str, Any] = EXPECTING) -> World:
    """A front whose engine was never up."""
    world = fresh_world(1, settings, started=False)
    world.engine.down()
    world.front.start()
    return world


@pytest.fixture
def deserted(world: MakeWorld) -> World:
    """A front whose only engine has just died."""
    made = world(settings=EXPECTING)
    made.say()
    made.engine.reset()
    made.engine.down()
    return made


def waiting(world: World) -> float:
    return world.front.metric("tidegate_requests_waiting", model="tiny")


def until_waiting(world: World, count: int) -> None:
    eventually(lambda: waiting(world) == count, what=f"{count} waiting")


def rejected(world: World, reason: str) -> float:
    return world.front.metric("tidegate_rejected_total", model="tiny", reason=reason)


def test_a_stream_waits_with_heartbeats_for_the_first_engine(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world)
    with world.wire() as wire:
        answer = wire.send(world.chat()).head()
        events = wire.events(answer)
        assert answer.status == 200
        assert next(events).startswith(b":")
        world.engine.up()
        list(events)
    assert (answer.text, answer.end, answer.events[-1]) == ("Hello, world", "complete", b"data: [DONE]\n\n")
    line = world.front.log_of(answer.headers["x-request-id"])
    assert line["held_seconds"] >= 0.2
    assert line["attempts"] == 1


def test_a_document_waits_for_the_first_engine(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world)
    with world.wire() as wire, world.wire() as other:
        wire.send(world.chat(stream=False))
        other.send(world.request(EMBEDDINGS, {"model": "tiny", "input": "x"}))
        until_waiting(world, 2)
        assert wire.is_silent(0.5)
        wire.sock.settimeout(10)
        world.engine.up()
        assert wire.answer().json()["choices"][0]["message"]["content"] == "Hello, world"
        assert other.answer().status == 200


def test_a_model_that_nobody_told_of_is_waited_for_while_nothing_is_known(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.engine_poll_seconds": 0.1}, started=False)
    world.engine.down()
    world.front.launch()
    eventually(lambda: world.front.readiness() == 503, within=START_SECONDS, what="the front")
    with world.wire() as wire, world.wire() as unknown:
        wire.send(world.chat(stream=False))
        unknown.send(world.chat(stream=False, model="invented"))
        assert wire.is_silent(0.3)
        wire.sock.settimeout(10)
        world.engine.up()
        assert wire.answer().status == 200
        assert unknown.answer().status == 404


def test_those_that_wait_go_out_in_the_order_they_came(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world, QUIET)
    wires = []
    for number in range(12):
        wires.append(world.wire().send(world.chat(stream=number % 2 == 0, user=str(number))))
        until_waiting(world, number + 1)
    # New connections may overtake each other on their way: tests/unit/test_hold.py has the order that they are made in.
    world.engine.script = Script(head_delay=1)
    world.engine.up()
    assert [wire.answer().status for wire in wires] == [200] * 12
    assert {seen.body["user"] for seen in world.engine.seen[:4]} == {"0", "1", "2", "3"}


def test_a_session_waits_too_and_is_kept(deserted: World) -> None:
    with deserted.wire() as wire:
        wire.send(deserted.request(CHAT, chat_body(session_id="held")))
        until_waiting(deserted, 1)
        deserted.engine.up()
        assert wire.answer().text == "Hello, world"
    deserted.say(session_id="held")
    assert len(deserted.engine.seen[-1].body["messages"]) == 3


def test_what_waits_is_seen_by_whoever_scales(deserted: World) -> None:
    front = deserted.front
    offered = {kind: front.metric("tidegate_offered_tokens_total", kind=kind) for kind in ("prefill", "decode")}
    with deserted.wire() as stream, deserted.wire() as whole:
        stream.send(deserted.chat(max_tokens=64))
        whole.send(deserted.chat(stream=False, max_tokens=64))
        until_waiting(deserted, 2)
        for kind in ("prefill", "decode"):
            assert front.metric("tidegate_offered_tokens_total", kind=kind) > offered[kind]
            assert front.metric("tidegate_queued_tokens", model="tiny", kind=kind) > 0
        assert front.metric("tidegate_engines_ready", model="tiny") == 0
        time.sleep(0.3)
        assert 0.3 <= front.metric("tidegate_oldest_wait_seconds", model="tiny") < 5
        deserted.engine.up()
        assert (stream.answer().status, whole.answer().status) == (200, 200)
    assert waiting(deserted) == 0
    assert front.metric("tidegate_queued_tokens") == 0
    assert front.metric("tidegate_oldest_wait_seconds") == 0
    assert front.metric("tidegate_engines_ready", model="tiny") == 1


def test_a_client_that_leaves_is_forgotten_at_once(deserted: World) -> None:
    with deserted.wire() as stream, deserted.wire() as whole:
        stream.send(deserted.chat())
        whole.send(deserted.chat(stream=False))
        until_waiting(deserted, 2)
    eventually(lambda: waiting(deserted) == 0, within=0.5, what="nobody waiting")
    assert deserted.front.metric("tidegate_requests_in_flight") == 0
    deserted.engine.up()
    eventually(lambda: deserted.front.metric("tidegate_engines_ready") == 1, what="the engine")
    assert not deserted.engine.seen


def test_more_than_may_wait_are_refused(world: MakeWorld) -> None:
    deserted = world(settings={**QUIET, "front.hold.requests": 2, "front.hold.body_bytes": 4000})
    deserted.engine.down()
    before = rejected(deserted, "hold_full")
    with deserted.wire() as one, deserted.wire() as two:
        one.send(deserted.chat())
        until_waiting(deserted, 1)
        long = deserted.say(messages=[{"role": "user", "content": "x" * 4000}])
        two.send(deserted.chat())
        until_waiting(deserted, 2)
        third = deserted.say(stream=False)
        assert [answer.status for answer in (long, third)] == [503, 503]
        assert third.error["code"] == "no_engine_available"
        assert int(third.headers["retry-after"]) >= 1
        assert rejected(deserted, "hold_full") == before + 2
        deserted.engine.up()
        assert [one.answer().text, two.answer().text] == ["Hello, world"] * 2
    assert deserted.say().status == 200


def test_a_document_that_waits_too_long_is_refused(world: MakeWorld) -> None:
    deserted = world(settings={**QUIET, "front.hold.seconds": 0.6})
    deserted.engine.down()
    before, started = rejected(deserted, "hold_timeout"), time.monotonic()
    refusal = deserted.say(stream=False)
    assert (refusal.status, refusal.error["code"]) == (503, "no_engine_available")
    assert int(refusal.headers["retry-after"]) >= 1
    assert 0.6 <= time.monotonic() - started < 3
    assert deserted.say().status == 503
    assert rejected(deserted, "hold_timeout") == before + 2


def test_a_stream_that_waits_too_long_ends_with_an_error_event_and_a_cut(world: MakeWorld) -> None:
    deserted = world(settings={**EXPECTING, "front.hold.seconds": 0.8})
    deserted.engine.down()
    answer = deserted.say()
    assert (answer.status, answer.end) == (200, "cut")
    assert answer.comments
    assert parsed(answer.events)[-1]["error"]["code"] == "no_engine_available"
    assert waiting(deserted) == 0


def test_an_engine_that_dies_with_its_requests_costs_none_of_them(deserted: World) -> None:
    deserted.engine.up()
    deserted.engine.script = Script(fault="hang", at=BEFORE_HEAD)
    wires = [deserted.wire().send(deserted.chat(stream=number % 2 == 0)) for number in range(40)]
    deserted.engine.wait_for(40)
    deserted.engine.down()
    until_waiting(deserted, 40)
    time.sleep(0.5)
    deserted.engine.script = Script()
    deserted.engine.up()
    assert [wire.answer().status for wire in wires] == [200] * 40


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_is_away_is_not_asked_on_and_on(deserted: World, stream: bool) -> None:
    with deserted.wire() as wire:
        wire.send(deserted.chat(stream=stream))
        until_waiting(deserted, 1)
        time.sleep(3)
        deserted.engine.up()
        answer = wire.answer()
    assert answer.status == 200
    assert deserted.front.log_of(answer.headers["x-request-id"])["attempts"] <= 9


def test_what_kills_two_engines_is_answered(deserted: World) -> None:
    deserted.engine.up()
    deserted.engine.script = Script(head_delay=0.1, fault="kill", at=BEFORE_HEAD)
    with deserted.wire() as wire:
        wire.send(deserted.chat(stream=False))
        for _ in range(2):
            eventually(lambda: not deserted.engine.is_up, what="the engine's death")
            time.sleep(0.3)
            deserted.engine.down()
            deserted.engine.up()
        refusal = wire.answer()
    assert (refusal.status, refusal.headers["x-should-retry"]) == (502, "false")
    assert len(deserted.engine.seen) == 2


@pytest.mark.parametrize("body", [DRAINING, b"DRAINING", b""])
@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_drains_is_waited_out(deserted: World, stream: bool, body: bytes) -> None:
    deserted.engine.up()
    deserted.engine.script = Script(status=503, body=body)
    with deserted.wire() as wire:
        wire.send(deserted.chat(stream=stream))
        until_waiting(deserted, 1)
        time.sleep(0.3)
        assert deserted.front.metric("tidegate_engines_ready", model="tiny") == 0
        deserted.engine.script = Script()
        assert wire.answer().status == 200


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_takes_four_at_once_answers_all_that_waited_for_it(fresh_world: MakeWorld, stream: bool) -> None:
    world = from_zero(fresh_world, QUIET)
    wires = [world.wire().send(world.chat(stream=stream)) for _ in range(40)]
    until_waiting(world, 40)
    world.engine.script = Script(head_delay=0.05, gap=0.05)
    world.engine.decide = lambda _: BUSY if world.engine.in_flight >= 4 else None
    world.engine.up()
    assert [wire.answer().status for wire in wires] == [200] * 40
    assert len(world.engine.seen) <= 120
    assert (rejected(world, "engine_busy"), waiting(world)) == (0, 0)


def test_what_an_engine_has_no_room_for_waits_no_longer_than_anybody(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world, {**QUIET, "front.hold.seconds": 3})
    with world.wire() as wire:
        wire.send(world.chat(stream=False))
        until_waiting(world, 1)
        world.engine.script = BUSY
        world.engine.up()
        world.engine.wait_for(2)
        refusal = wire.answer()
    assert (refusal.status, refusal.error["code"]) == (503, "no_engine_available")
    assert rejected(world, "hold_timeout") == 1


def test_who_comes_while_others_are_let_out_does_not_overtake_them(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world)
    wires = [world.wire().send(world.chat(stream=False, user="held")) for _ in range(20)]
    until_waiting(world, 20)
    world.engine.script = Script(head_delay=0.3)
    world.engine.up()
    world.engine.wait_for(1)
    with world.wire() as late:
        late.send(world.chat(stream=False, user="late"))
        assert [wire.answer().status for wire in (*wires, late)] == [200] * 21
    assert world.engine.seen[-1].body["user"] == "late"


@pytest.mark.parametrize("status", [429, 503])
def test_an_engine_that_has_too_much_to_do_is_not_waited_for(deserted: World, status: int) -> None:
    deserted.engine.up()
    deserted.engine.script = Script(status=status, body=vllm_wire.error_body(status, "The engine is currently busy."))
    before, started = rejected(deserted, "engine_busy"), time.monotonic()
    refusal = deserted.say(stream=False)
    assert refusal.status == 503
    assert int(refusal.headers["retry-after"]) >= 1
    assert time.monotonic() - started < 2
    assert rejected(deserted, "engine_busy") == before + 1
    assert deserted.front.metric("tidegate_engines_ready", model="tiny") == 1


def test_without_a_hold_the_refusal_is_immediate(world: MakeWorld) -> None:
    deserted = world(settings={**EXPECTING, "front.hold.seconds": 0})
    deserted.engine.down()
    before = rejected(deserted, "no_engine")
    assert deserted.say().status == 503
    assert rejected(deserted, "no_engine") == before + 1


def test_another_model_is_not_held_up(world: MakeWorld) -> None:
    both = world(2, {**EXPECTING, "front.models": '["tiny", "other"]'})
    both.engines[1].model = "other"
    eventually(lambda: both.front.metric("tidegate_engines_ready", model="other") == 1, what="the other model")
    both.engines[0].down()
    with both.wire() as wire:
        wire.send(both.chat(stream=False))
        until_waiting(both, 1)
        assert both.ask(CHAT, {"model": "other", "messages": HELLO}).status == 200
        assert both.ask(CHAT, {"model": "invented", "messages": HELLO}).status == 404
        assert waiting(both) == 1
        both.engines[0].up()
        assert wire.answer().status == 200


def test_a_front_that_expects_a_model_is_ready_lists_it_and_has_its_series_before_any_engine(
    fresh_world: MakeWorld,
) -> None:
    world = from_zero(fresh_world)
    assert [card["id"] for card in world.ask("/v1/models").json()["data"]] == ["tiny"]
    assert world.ask("/v1/models/tiny").status == 200
    found = {(name, *sorted(labels)): value for (name, labels), value in world.front.metrics().items()}
    tiny = ("model", "tiny")
    expected = [
        *[("tidegate_offered_tokens_total", ("kind", kind), tiny) for kind in ("prefill", "decode")],
        *[("tidegate_queued_tokens", ("kind", kind), tiny) for kind in ("prefill", "decode")],
        *[(f"tidegate_{name}", tiny) for name in ("requests_waiting", "oldest_wait_seconds", "engines_ready")],
        *[("tidegate_rejected_total", tiny, ("reason", reason)) for reason in ("no_engine", "hold_full")],
        *[(f"tidegate_slo{part}_total", ("class", "chat"), tiny) for part in ("", "_good")],
    ]
    assert {name: found.get(name) for name in expected} == dict.fromkeys(expected, 0)


def test_a_front_that_stops_lets_what_waits_go_out(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world)
    with world.wire() as wire:
        wire.send(world.chat())
        until_waiting(world, 1)
        world.front.signal()
        time.sleep(0.3)
        world.engine.up()
        assert wire.answer().text == "Hello, world"
    assert world.front.wait(within=5) == 0


def test_a_front_that_stops_without_an_engine_refuses_what_waits(fresh_world: MakeWorld) -> None:
    world = from_zero(fresh_world, {**QUIET, "front.drain_seconds": 0.5})
    with world.wire() as wire:
        wire.send(world.chat(stream=False))
        until_waiting(world, 1)
        world.front.signal()
        refusal = wire.answer()
    assert (refusal.status, refusal.error["code"]) == (503, "shutting_down")
    assert world.front.wait(within=5) == 0


def test_a_request_held_on_a_kept_connection_leaves_room_for_the_next(deserted: World) -> None:
    with Wire(deserted.front.address) as wire:
        wire.send(deserted.chat(stream=False), deserted.chat(stream=False))
        until_waiting(deserted, 1)
        deserted.engine.up()
        assert [wire.answer().status, wire.answer().status] == [200, 200]
