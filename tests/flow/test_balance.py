"""Which of several engines is asked."""

from __future__ import annotations

import time

from tests.support.script import Script
from tests.support.waiting import eventually
from tests.support.world import CHAT, HELLO, MakeWorld, World


def test_the_engine_with_less_in_flight_is_asked(pair: World) -> None:
    for engine in pair.engines:
        engine.next(Script(fault="hang", at=1))
    with pair.wire() as wire:
        wire.send(pair.chat())
        eventually(lambda: pair.seen_by_engines == 1, what="the stream")
        busy, free = sorted(pair.engines, key=lambda engine: -len(engine.seen))
        free.queue.clear()
        for _ in range(6):
            assert pair.say(stream=False).status == 200
        assert (len(busy.seen), len(free.seen)) == (1, 6)


def test_streams_spread_evenly(pair: World) -> None:
    for engine in pair.engines:
        engine.script = Script(fault="hang", at=1)
    wires = [pair.wire().send(pair.chat()) for _ in range(20)]
    eventually(lambda: pair.seen_by_engines == 20, what="twenty streams")
    assert [len(engine.seen) for engine in pair.engines] == [10, 10]
    for wire in wires:
        wire.close()


def test_quick_requests_one_after_the_other_spread_too(pair: World) -> None:
    for _ in range(20):
        pair.say(stream=False)
    assert all(5 <= len(engine.seen) <= 15 for engine in pair.engines)


def test_a_request_goes_to_an_engine_that_serves_its_model(fresh_world: MakeWorld) -> None:
    world = fresh_world(2, {"front.engine_poll_seconds": 0.1})
    world.engines[1].model = "other"
    eventually(lambda: len(world.ask("/v1/models").json()["data"]) == 2, what="both models listed")
    for _ in range(3):
        assert world.ask(CHAT, {"model": "other", "messages": HELLO}).json()["model"] == "other"
    assert [len(engine.seen) for engine in world.engines] == [0, 3]


def test_a_model_that_is_gone_from_every_engine_is_gone(fresh_world: MakeWorld) -> None:
    world = fresh_world(1, {"front.engine_poll_seconds": 0.1})
    world.engine.model = "other"
    eventually(lambda: world.say().status == 404, within=3, what="the old model being unknown")
    assert world.say(model="other").status == 200


def test_five_hundred_slow_streams_at_once_are_served_without_an_error(solo: World) -> None:
    solo.engine.script = Script(("x",) * 8, gap=0.05)
    wires = [solo.wire(timeout=20) for _ in range(500)]
    started = time.monotonic()
    for wire in wires:
        wire.send(solo.chat())
    answers = [wire.answer() for wire in wires]
    assert {(answer.status, answer.text, answer.end) for answer in answers} == {(200, "x" * 8, "complete")}
    assert time.monotonic() - started < 8
    for wire in wires:
        wire.close()
