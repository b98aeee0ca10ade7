"""How a probe ends on a worker: followed to the limits, cut, or replaced; and what its pulses say meanwhile."""

from __future__ import annotations

from dataclasses import replace

import gevent
import numpy as np
import pytest

from loadtest.client.answer import Ask
from loadtest.plan import TrafficClass
from loadtest.records import from_bytes
from loadtest.selfcheck import EDGES_SECONDS, SelfCheck, lag_quantile, no_lags
from loadtest.slo import Fault
from loadtest.traffic.session import Turn
from tests.support.load_station import World, followed, sessions


def _never(_ask: Ask, _since: float) -> Fault:
    gevent.sleep(60)
    return Fault.NONE


def test_a_request_in_flight_at_the_end_is_followed() -> None:
    def slow(*_: object) -> Fault:
        gevent.sleep(1.5)
        return Fault.NONE

    rows, _ = World(sessions(0.15), slow).run(seconds=1)
    assert rows["fault"].tolist() == [Fault.NONE]
    assert rows["ended"][0] > 1.6


def test_limits_count_from_the_scheduled_time_in_the_clock_of_the_request() -> None:
    seen: list[tuple[float, float]] = []

    def look(ask: Ask, _since: float) -> Fault:
        assert ask.first_by is not None
        assert ask.end_by is not None
        seen.append((ask.first_by, ask.end_by))
        return Fault.NONE

    world = World(sessions(0.1, turns=(Turn(1, 100),)), look, traffic=TrafficClass(), grace_seconds=2.0)
    course = world.begin()
    followed(course)
    (first_by, end_by), begin = seen[0], course.begin
    assert first_by == pytest.approx(begin + 0.1 + 0.5 + 2.0)
    assert end_by == pytest.approx(first_by + 100 * 0.05 * 2)


def test_a_cut_makes_rows_of_what_is_open_and_forgets_what_has_not_begun() -> None:
    world = World(sessions(0.0, 0.05, 5.0), _never)
    course = world.begin(seconds=10)
    gevent.sleep(0.3)
    world.station.cut()
    rows, last = followed(course)
    assert rows["fault"].tolist() == [Fault.CUT, Fault.CUT]
    assert np.isnan(rows["first"]).all()
    assert (rows["ended"] < 5.0).all()
    assert (last.dropped, last.waiting, last.in_flight) == (0, 0, 0)


def test_after_a_cut_the_same_users_serve_the_next_probe() -> None:
    world = World(sessions(0.0, 0.05), lambda _, since: _never(_, since) if since < 0.2 else Fault.NONE, users=2)
    first = world.begin(seconds=10)
    gevent.sleep(0.3)
    second = world.station.begin(replace(first.probe, number=1))
    assert followed(first)[0]["fault"].tolist() == [Fault.CUT, Fault.CUT]
    rows, _ = followed(second)
    assert rows["probe"].tolist() == [1, 1]
    assert rows["fault"].tolist() == [Fault.NONE, Fault.NONE]


def test_a_request_without_limits_is_cut_a_grace_after_the_end() -> None:
    world = World(sessions(0.0), _never, traffic=TrafficClass(slo="batch"), grace_seconds=0.2)
    rows, _ = world.run(seconds=0.2)
    assert rows["fault"].tolist() == [Fault.CUT]
    assert 0.39 < rows["ended"][0] < 5


def test_a_probe_of_no_arrivals_is_done_at_once() -> None:
    rows, last = World([]).run(seconds=30)
    assert len(rows) == 0
    assert last.seconds < 1


def test_a_user_that_locust_ends_within_a_request_leaves_a_row() -> None:
    world = World(sessions(0.0), _never, users=0)
    course = world.begin(seconds=0.2)
    user = gevent.spawn(world.station.serve_one)
    gevent.sleep(0.1)
    user.kill()
    assert followed(course)[0]["fault"].tolist() == [Fault.CUT]


@pytest.mark.filterwarnings("ignore")
def test_a_client_that_breaks_is_an_error_of_the_probe_and_not_a_request_that_never_was() -> None:
    def breaks(*_: object) -> Fault:
        raise KeyError("choices")

    world = World(sessions(0.0), breaks)
    assert "KeyError: 'choices'" in followed(world.begin())[1].error


def test_pulses_hand_out_each_row_once_and_count_them_all() -> None:
    course = World(sessions(0.0, 0.05, 0.3)).begin()
    gevent.sleep(0.2)
    first = course.pulse()
    assert (len(from_bytes(first.rows)), first.rows_so_far, first.waiting, first.done) == (2, 2, 1, False)
    rest, last = followed(course)
    assert (len(rest), last.rows_so_far, last.waiting) == (1, 3, 0)


def test_each_record_is_told_as_it_is_written() -> None:
    world = World(sessions(0.0, 0.05))
    rows, _ = world.run()
    assert [record.session for record in world.told] == rows["session"].tolist()


def test_a_loop_that_is_held_up_shows_in_its_lags() -> None:
    check = SelfCheck()
    check.start()
    gevent.sleep(0.1)
    until = check._clock() + 0.2
    while check._clock() < until:
        pass
    gevent.sleep(0.05)
    counts = check.take_lags()
    check.stop()
    assert 0.15 < lag_quantile(counts, 1.0) < 2
    assert check.take_lags().sum() == 0


def test_lag_counts_add_up_and_their_quantile_is_an_edge_too_high_at_most() -> None:
    counts = no_lags()
    counts[40] += 90
    other = no_lags()
    other[80] += 10
    assert lag_quantile(counts + other, 0.9) == EDGES_SECONDS[40]
    assert lag_quantile(counts + other, 0.91) == EDGES_SECONDS[80]
    assert np.isnan(lag_quantile(no_lags(), 0.5))
