"""Probes, the admin port, and how a front stops."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.front_process import START_SECONDS
from tests.support.raw_http import Wire, parsed
from tests.support.script import Script
from tests.support.waiting import eventually
from tests.support.world import CHAT, MakeWorld, World, chat_body


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key_and_tell_no_detail(solo: World, path: str) -> None:
    answer = solo.ask(path, key=None)
    assert answer.status == 200
    assert str(solo.engine.port) not in answer.body.decode()
    assert len(answer.body) < 40
    assert solo.front.get(f"{solo.front.admin_url}{path}")[0] == 200


def test_metrics_are_on_the_admin_port_only(solo: World) -> None:
    assert solo.front.get(f"{solo.front.admin_url}/metrics")[0] == 200
    assert solo.ask("/metrics").status == 404


@pytest.mark.parametrize("path", ["/v1/models", CHAT])
def test_the_admin_port_serves_no_api(solo: World, path: str) -> None:
    for body in (None, chat_body()):
        with Wire(solo.front.admin_address) as wire:
            assert wire.send(solo.request(path, body)).answer().status in (404, 405)
    assert not solo.engine.seen


def test_a_front_without_an_engine_lives_and_is_not_ready(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.engine_poll_seconds": 0.1, "front.hold.seconds": 0}, started=False)
    world.engine.down()
    world.front.launch()
    eventually(lambda: world.front.readiness() == 503, within=START_SECONDS, what="not ready")
    assert world.front.get(f"{world.front.admin_url}/livez")[0] == 200
    refusal = world.say()
    assert (refusal.status, refusal.error["code"]) == (503, "no_engine_available")
    assert int(refusal.headers["retry-after"]) >= 1
    world.engine.up()
    eventually(lambda: world.front.readiness() == 200, within=3, what="ready")
    assert world.say().text == "Hello, world"


def test_a_stop_lets_streams_finish_and_takes_no_new_ones(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    world.engine.next(Script(fault="hang", at=2))
    with world.wire() as wire, world.wire() as kept:
        kept.send(world.request("/v1/models")).answer()
        answer = wire.send(world.chat()).head()
        world.front.signal()
        eventually(lambda: world.front.readiness() in (503, 0), within=1, what="not ready")
        eventually(lambda: is_refused(world), within=1, what="new work being refused")
        world.engine.seen[0].release()
        assert list(wire.events(answer))[-1] == b"data: [DONE]\n\n"
        assert answer.end == "complete"
        assert kept.is_closed(within=2)
    assert world.front.wait(within=5) == 0


def is_refused(world: World) -> bool:
    try:
        return world.say().status == 503
    except ConnectionError:
        return True


def test_liveness_stays_while_a_front_drains(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    world.engine.script = Script(fault="hang", at=2)
    with world.wire() as wire:
        answer = wire.send(world.chat()).head()
        world.front.signal()
        eventually(lambda: world.front.readiness() == 503, within=1, what="not ready")
        assert world.front.get(f"{world.front.admin_url}/livez")[0] == 200
        world.engine.seen[0].release()
        list(wire.events(answer))
    assert world.front.wait(within=5) == 0


def test_a_document_in_flight_is_answered_before_the_stop(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    world.engine.script = Script(head_delay=0.5)
    with world.wire() as wire:
        wire.send(world.chat(stream=False))
        world.engine.wait_for()
        world.front.signal()
        answer = wire.answer()
    assert answer.json()["object"] == "chat.completion"
    assert world.front.wait(within=5) == 0


def test_a_stop_waits_for_streams_no_longer_than_it_may(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.drain_seconds": 1})
    world.engine.script = Script(fault="hang", at=2)
    with world.wire() as wire:
        wire.send(world.chat())
        world.engine.wait_for()
        started = time.monotonic()
        world.front.signal()
        answer = wire.answer()
    assert answer.end == "cut"
    assert "error" in parsed(answer.events)[-1]
    assert world.front.wait(within=5) == 0
    assert time.monotonic() - started < 4
    eventually(lambda: world.engine.in_flight == 0, within=1, what="engine free")


def test_a_second_signal_stops_at_once(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    world.engine.script = Script(fault="hang", at=2)
    with world.wire() as wire:
        wire.send(world.chat())
        world.engine.wait_for()
        world.front.signal()
        eventually(lambda: world.front.readiness() == 503, within=1, what="not ready")
        world.front.signal()
        assert wire.answer().end == "cut"
    assert world.front.wait(within=5) == 0


def test_an_idle_front_stops_at_once(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    with world.wire() as idle, world.wire() as silent:
        idle.send(world.chat()).answer()
        started = time.monotonic()
        world.front.signal()
        assert world.front.wait(within=5) == 0
        assert time.monotonic() - started < 2
        assert silent.is_closed()


def test_a_stop_serves_on_for_the_drain_delay(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.drain_delay_seconds": 0.8})
    world.front.signal()
    eventually(lambda: world.front.readiness() == 503, within=0.6, what="not ready")
    assert world.say().text == "Hello, world"
    assert world.front.wait(within=5) == 0


def test_while_it_leaves_an_answer_is_its_connections_last(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.drain_delay_seconds": 0.8})
    wire = world.wire()
    wire.send(world.chat(stream=False))
    kept = wire.answer()
    world.front.signal()
    eventually(lambda: world.front.readiness() == 503, within=0.6, what="not ready")
    wire.send(world.chat(stream=False))
    last = wire.answer()

    assert "connection" not in kept.headers
    assert (last.status, last.headers["connection"]) == (200, "close")


def test_every_line_of_standard_output_is_a_request(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    for number in range(5):
        world.say(stream=number % 2 == 0)
    world.front.signal()
    world.front.wait()
    assert [json.loads(line)["status"] for line in world.front.lines] == [200] * 5
    assert "Traceback" not in world.front.stderr
