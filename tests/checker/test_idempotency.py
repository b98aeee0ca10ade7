"""Idempotency-Key over two fronts: one generation and one turn per key, whichever front is asked, alive or not."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.checker import witness
from tests.checker.conftest import MakeStateWorld, listen
from tests.support.said import Said
from tests.support.script import Script
from tests.support.state_world import StateWorld
from tests.support.waiting import eventually

MARKER = "red/s1/t1"


def ask(world: StateWorld, front: int, *, key: str = "k1", stream: bool = False) -> Said:
    return world.say(front, "s1", witness.say(MARKER), idempotency_key=key, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_at_both_fronts_at_once_is_generated_once(state_world: MakeStateWorld, stream: bool) -> None:
    world = state_world()
    heard = listen(world)
    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(lambda front: ask(world, front, stream=stream), (0, 1, 0, 1)))
    assert {ended.outcome for ended in said} == {"acked"}
    assert len({ended.text for ended in said}) == 1
    assert heard.generations[MARKER] == 1


def test_the_same_text_under_two_keys_is_two_turns(state_world: MakeStateWorld) -> None:
    world = state_world()
    listen(world)
    first, second = ask(world, 0, key="k1"), ask(world, 1, key="k2")
    assert (first.outcome, second.outcome) == ("acked", "acked")
    third = witness.understand(world.say(0, "s1", witness.say("red/s1/t2")).text)
    assert third is not None
    assert [pair.marker for pair in third.seen] == [MARKER, MARKER]


def test_a_front_that_comes_back_late_does_not_undo_what_another_answered_in_its_place(
    state_world: MakeStateWorld,
) -> None:
    world = state_world()
    world.engine.next(Script(fault="hang", at=0))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, world, 0)
        hung = world.engine.wait_for(1)
        heard = listen(world)
        world.fronts[0].signal(signal.SIGSTOP)
        answer = eventually(lambda: (said := ask(world, 1)).outcome == "acked" and said, within=20, what="an answer")
        world.fronts[0].signal(signal.SIGCONT)
        hung.release()
        assert first.result().outcome != "silent"
    time.sleep(1)
    assert ask(world, 1) == answer
    assert ask(world, 0) == answer
    assert heard.generations[MARKER] == 1


@pytest.mark.timeout(90)
def test_a_key_whose_front_was_killed_while_it_generated_is_answered_by_the_other(state_world: MakeStateWorld) -> None:
    world = state_world()
    world.engine.next(Script(fault="hang", at=0))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, world, 0)
        world.engine.wait_for(1)
        world.kill(0)
        assert first.result().outcome == "broken"
    listen(world)
    said = eventually(lambda: (answer := ask(world, 1)).outcome == "acked" and answer, within=40, what="an answer")
    assert said
    assert ask(world, 1).text == said.text
    last = witness.understand(world.say(1, "s1", witness.say("red/s1/t2")).text)
    assert last is not None
    assert [pair.marker for pair in last.seen] == [MARKER]
