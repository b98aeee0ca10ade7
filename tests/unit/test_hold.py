"""Who of those that wait for an engine goes when: their order, and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from serving.errors import EngineFailed, NoEngine, Rejection, RequestError
from serving.front.hold import Held, Hold
from serving.settings import HoldSettings

ABSENT = NoEngine("none", retry_after_seconds=1)
BUSY = NoEngine("busy", retry_after_seconds=1, reason=Rejection.ENGINE_BUSY)


def outside_of_a_task(do: Callable[[], Any]) -> None:
    """In a loop, as a flow begins."""
    loop = asyncio.new_event_loop()
    loop.call_soon(do)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()


class Waiting:
    """Requests for the model `m` by the order they came in; `gone` lists those that were let out, as they were."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.engines = 0
        self.gone: list[int] = []
        self._due: list[Callable[[], None]] = []
        self._asleep: list[Generator[Any, None, None]] = []
        self.hold = Hold(HoldSettings(seconds=60), lambda: self.now, self._due.append)
        self.held = [self.hold.enter("m", 1) for _ in range(count)]
        for number, held in enumerate(self.held):
            self.naps(number, held, ABSENT)

    def naps(self, number: int, held: Held, reason: RequestError) -> None:
        nap: Generator[Any, None, None] = held.nap(reason).__await__()
        self._asleep.append(nap)
        outside_of_a_task(lambda: next(nap))
        held.wake.on_set(lambda: self.gone.append(number))

    def back(self, number: int, reason: RequestError) -> None:
        self.naps(number, self.held[number], reason)

    def begins(self, number: int) -> list[int]:
        return self._let_out(lambda: self.held[number].__exit__(None, None, None))

    def look(self, engines: int) -> list[int]:
        self.engines = engines
        return self._let_out(lambda: self.hold.look(self._ready))

    def tick(self) -> list[int]:
        return self._let_out(lambda: self.hold.tick(self._ready))

    def ended(self) -> list[int]:
        return self._let_out(lambda: self.hold.ended("m"))

    def is_ahead(self) -> bool:
        return self.hold.is_ahead("m", self._ready)

    def _ready(self, model: str) -> int:
        return self.engines if model == "m" else 0

    def _let_out(self, happen: Callable[[], Any]) -> list[int]:
        before = len(self.gone)
        happen()
        while self._due:
            self._due.pop(0)()
        return self.gone[before:]


def ticks_until(waiting: Waiting, end: float, reason: RequestError, period: float = 0.25) -> list[float]:
    """When the first in line was let out by a tick; it comes back at once with this reason."""
    tried = []
    while waiting.now < end:
        waiting.now += period
        for number in waiting.tick():
            assert number == 0
            tried.append(waiting.now)
            waiting.back(number, reason)
    return tried


def test_without_an_engine_the_first_alone_tries_ever_more_rarely() -> None:
    waiting = Waiting(3)
    assert ticks_until(waiting, 32, ABSENT) == [0.25, 1.25, 3.25, 7.25, 15.25, 23.25, 31.25]
    assert waiting.look(0) == []


def test_ticks_do_not_go_on_and_on_to_an_engine_that_takes_nothing_though_it_is_said_to_be_there() -> None:
    waiting = Waiting(3)
    waiting.engines = 1
    assert ticks_until(waiting, 10, ABSENT) == [0.25, 1.25, 3.25, 7.25]


def test_an_engine_that_comes_is_not_kept_waiting_by_tries_that_were_in_vain() -> None:
    waiting = Waiting(20)
    ticks_until(waiting, 16, ABSENT)
    assert waiting.look(1) == [0, 1, 2, 3]
    assert len(waiting.tick()) == 2


def test_an_engine_that_answered_and_went_is_missed_as_soon_as_any_other() -> None:
    waiting = Waiting(3)
    ticks_until(waiting, 16, ABSENT)
    waiting.look(1)
    waiting.begins(1)
    for number in (0, 2):
        waiting.back(number, ABSENT)
    assert [at - 16 for at in ticks_until(waiting, 20, ABSENT)] == [0.25, 1.25, 3.25]


def test_a_busy_engine_is_tried_at_each_tick() -> None:
    waiting = Waiting(3)
    ticks_until(waiting, 16, ABSENT)
    waiting.look(1)
    for number in range(3):
        waiting.back(number, BUSY)
    assert len(ticks_until(waiting, 18, BUSY)) == 8


@pytest.mark.parametrize(("engines", "first"), [(1, 4), (2, 8)])
def test_an_engine_that_came_gets_a_few_in_order_and_is_not_stormed_by_each_look(engines: int, first: int) -> None:
    waiting = Waiting(20)
    assert waiting.look(engines) == list(range(first))
    assert waiting.look(engines) == []
    assert waiting.look(engines + 1) == list(range(first, first + 4))


def test_each_that_begins_lets_two_go_and_each_end_one() -> None:
    waiting = Waiting(20)
    waiting.look(1)
    assert waiting.begins(0) == [4, 5]
    assert waiting.begins(3) == [6, 7]
    assert waiting.ended() == [8]


def test_ticks_let_out_twice_as_many_each_time() -> None:
    waiting = Waiting(30)
    waiting.look(1)
    assert [len(waiting.tick()) for _ in range(4)] == [2, 4, 8, 12]


def test_what_a_busy_engine_refuses_keeps_its_place_and_the_rest_go_one_by_one() -> None:
    waiting = Waiting(20)
    waiting.look(1)
    for number in (3, 2):
        waiting.back(number, BUSY)
    assert waiting.begins(0) == [2]
    assert waiting.ended() == [3]
    assert waiting.tick() == [4]


def test_who_comes_waits_behind_the_others_unless_the_engine_is_busy() -> None:
    waiting = Waiting(9)
    assert waiting.is_ahead()
    waiting.look(1)
    assert waiting.is_ahead()
    waiting.back(0, BUSY)
    assert not waiting.is_ahead()


def test_an_engine_that_left_again_stops_them() -> None:
    waiting = Waiting(9)
    waiting.look(1)
    waiting.back(0, ABSENT)
    assert waiting.ended() == []
    assert waiting.look(1) == [0, 4, 5, 6]


def test_what_broke_an_engine_goes_with_the_next_look_when_it_is_alone() -> None:
    waiting = Waiting(1)
    waiting.tick()
    waiting.back(0, EngineFailed("broke"))
    assert waiting.look(1) == [0]


def test_of_those_whose_engine_broke_one_goes_to_see_and_the_others_go_once_none_is_there() -> None:
    waiting = Waiting(6)
    waiting.look(2)
    for number in range(6):
        waiting.back(number, EngineFailed("broke"))
    assert waiting.tick() == [0]
    assert waiting.tick() == []
    waiting.back(0, ABSENT)
    assert waiting.look(1) == [0, 1, 2, 3]


def test_those_whose_engine_broke_do_not_wait_for_ever_for_the_one_that_went_to_see() -> None:
    waiting = Waiting(3)
    waiting.look(1)
    for number in range(3):
        waiting.back(number, EngineFailed("broke"))
    assert waiting.tick() == [0]
    waiting.now = 4.0
    assert waiting.tick() == [1, 2]
