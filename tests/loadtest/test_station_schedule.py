"""What a station sends and when: sessions at their times whatever the server does, and what a full pool misses."""

from __future__ import annotations

import time

import gevent
import numpy as np
import pytest

from loadtest.client.answer import Ask
from loadtest.plan import TrafficClass
from loadtest.slo import Fault
from loadtest.traffic.session import Turn
from tests.support.load_station import World, good, sessions


def test_sessions_are_sent_at_their_times() -> None:
    rows, last = World(sessions(0.0, 0.1, 0.25, 0.4)).run()
    assert rows["scheduled"].tolist() == [0.0, 0.1, 0.25, 0.4]
    lags = rows["sent"] - rows["scheduled"]
    assert (lags >= 0).all()
    assert (lags < 0.5).all()
    assert last.dropped == 0


def test_a_stall_of_the_server_delays_no_arrival_and_its_wait_counts_from_the_schedule() -> None:
    stalls = (0.2, 0.8)

    def stall(_ask: Ask, since: float) -> Fault:
        gevent.sleep(stalls[1] - since if stalls[0] <= since < stalls[1] else 0)
        return Fault.NONE

    rows, _ = World(sessions(*np.arange(0.0, 1.0, 0.05)), stall, users=100).run()
    held = (rows["scheduled"] > 0.25) & (rows["scheduled"] < 0.5)
    assert held.sum() == 4
    assert rows["sent"][held].max() < 0.8
    assert rows["first"][held].min() >= 0.79


def test_the_wait_for_a_user_is_part_of_ttft() -> None:
    rows, last = World(sessions(0.0, 0.01, 0.02), lambda *_: _slow(0.2), users=1).run()
    assert last.late == 2
    assert last.dropped == 0
    assert (rows["first"] - rows["scheduled"])[2] > 0.57


def test_an_arrival_that_waits_longer_than_its_client_would_is_dropped_and_never_sent() -> None:
    world = World(
        sessions(0.0, 0.1, 0.9),
        lambda ask, _: _slow(0.8) if ask.messages[0]["content"] == "0.0" else Fault.NONE,
        users=1,
        traffic=TrafficClass(ttft_seconds=0.3),
        grace_seconds=0.1,
    )
    rows, last = world.run()
    assert last.dropped == 1
    assert rows["session"].tolist() == [0, 2]
    assert world.asked == ["0.0", "2.0"]


def test_arrivals_for_which_no_user_came_before_the_end_are_dropped() -> None:
    rows, last = World(sessions(0.0, 0.1, 0.2), lambda *_: _slow(0.7), users=1).run(seconds=0.4)
    assert rows["session"].tolist() == [0]
    assert last.dropped == 2


def test_a_turn_follows_the_answer_before_it_by_its_think_time_with_that_answer() -> None:
    turns = (Turn(1, 1), Turn(1, 1, think_seconds=0.2), Turn(1, 1, think_seconds=0.1))
    world = World(sessions(0.1, turns=turns), lambda *_: _slow(0.05))
    rows, _ = world.run()
    assert rows["turn"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(
        np.diff(rows["scheduled"]), np.array([0.2, 0.1]) + (rows["ended"] - rows["scheduled"])[:2]
    )
    assert world.asked == ["0.0", "0.1 answer1", "0.2 answer1 answer2"]


def test_thinking_takes_no_user() -> None:
    thinks = sessions(0.0, turns=(Turn(1, 1), Turn(1, 1, think_seconds=0.5)))
    rows, _ = World([*thinks, *sessions(0.0, 0.1, 0.2)[1:]], good, users=1).run()
    assert len(rows) == 4
    assert (rows["sent"] - rows["scheduled"]).max() < 0.25


def test_a_failed_turn_ends_its_session() -> None:
    world = World(sessions(0.0, turns=(Turn(1, 1), Turn(1, 1))), lambda *_: Fault.SHED)
    rows, _ = world.run()
    assert rows["fault"].tolist() == [Fault.SHED]


def test_a_turn_whose_time_is_after_the_probe_never_begins_and_is_not_dropped() -> None:
    world = World(sessions(0.0, turns=(Turn(1, 1), Turn(1, 1, think_seconds=0.5))))
    rows, last = world.run(seconds=0.3)
    assert rows["turn"].tolist() == [0]
    assert last.dropped == 0


def test_steps_of_the_wall_clock_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(10_000))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600 * next(steps))
    rows, last = World(sessions(0.0, 0.1, 0.2)).run()
    assert (rows["ended"] >= rows["sent"]).all()
    assert 0.2 <= rows["sent"][2] < 0.9
    assert last.dropped == 0


def _slow(seconds: float) -> Fault:
    gevent.sleep(seconds)
    return Fault.NONE
