"""The demand that a front tells of: what is offered counts before anybody serves it."""

from __future__ import annotations

import pytest

from tests.support.script import BEFORE_HEAD, Script
from tests.support.vllm_wire import PROMPT_TOKENS
from tests.support.waiting import eventually
from tests.support.world import BODIES, MakeWorld, World


@pytest.fixture
def solo(world: MakeWorld) -> World:
    return world(settings={"front.hold.seconds": 0, "front.engine_poll_seconds": 0.2, "front.retry.budget_ratio": 1})


def offered(world: World, kind: str) -> float:
    return world.front.metric("tidegate_offered_tokens_total", model="tiny", kind=kind)


@pytest.mark.parametrize("path", BODIES)
def test_every_route_offers_its_tokens(solo: World, path: str) -> None:
    before = offered(solo, "prefill"), offered(solo, "decode")
    solo.ask(path, {**BODIES[path], "stream": True})
    assert offered(solo, "prefill") > before[0]
    assert offered(solo, "decode") > before[1]


def test_in_the_long_run_what_is_offered_is_what_engines_count(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    world.engine.script = Script(("a",) * 20)
    with world.wire() as wire:
        for number in range(300):
            wire.send(world.chat(stream=number % 2 == 0, max_tokens=1000)).answer()
    assert offered(world, "prefill") == pytest.approx(300 * PROMPT_TOKENS, rel=0.05)
    assert offered(world, "decode") == pytest.approx(300 * 20, rel=0.05)


def test_refused_requests_are_demand_too(solo: World) -> None:
    solo.engine.down()
    before = offered(solo, "prefill")
    for _ in range(5):
        assert solo.say().status == 503
    assert offered(solo, "prefill") >= before + 5
    assert solo.front.metric("tidegate_requests_waiting") == 0


def test_what_a_client_got_wrong_is_no_demand(solo: World) -> None:
    before = offered(solo, "prefill")
    for fields in ({"bogus": 1}, {"model": "invented"}, {"max_tokens": -1}):
        assert solo.say(**fields).status in (400, 404)
    assert offered(solo, "prefill") == before


def test_a_session_offers_its_history_with_each_turn(solo: World) -> None:
    def turn(session: str) -> float:
        before = offered(solo, "prefill")
        solo.say(messages=[{"role": "user", "content": "word " * 100}], session_id=session)
        return offered(solo, "prefill") - before

    solo.engine.script = Script(usage=False)
    turns = [turn("growing") for _ in range(4)]
    assert turns[3] > 2.5 * turns[0]


def test_a_stream_that_waits_for_its_first_token_is_queued_and_a_document_is_not(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=BEFORE_HEAD)
    with solo.wire() as stream, solo.wire() as whole:
        stream.send(solo.chat())
        whole.send(solo.chat(stream=False))
        solo.engine.wait_for(2)
        assert solo.front.metric("tidegate_requests_waiting", model="tiny") == 1
        assert solo.front.metric("tidegate_queued_tokens", kind="prefill") > 0
        assert solo.front.metric("tidegate_queued_tokens", kind="decode") == 0
        for seen in solo.engine.seen:
            seen.release()
        assert (stream.answer().status, whole.answer().status) == (200, 200)
    assert solo.front.metric("tidegate_requests_waiting") == 0


def test_a_stream_that_has_begun_waits_no_more(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=2)
    with solo.wire() as wire:
        answer = wire.send(solo.chat()).head()
        assert answer.status == 200
        assert solo.front.metric("tidegate_requests_waiting", model="tiny") == 0
        assert solo.front.metric("tidegate_oldest_wait_seconds", model="tiny") == 0


def test_a_client_that_leaves_its_place_in_the_queue_is_gone_from_it(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=BEFORE_HEAD)
    with solo.wire() as wire:
        wire.send(solo.chat())
        solo.engine.wait_for()
    eventually(lambda: solo.front.metric("tidegate_requests_waiting") == 0, within=0.5, what="an empty queue")


def test_ready_engines_are_counted(pair: World) -> None:
    def ready() -> float:
        return pair.front.metric("tidegate_engines_ready", model="tiny")

    eventually(lambda: ready() == 2, what="both")
    pair.engines[0].down()
    eventually(lambda: ready() == 1, what="the one that is left")
    pair.engines[0].up()
    eventually(lambda: ready() == 2, what="both again")
