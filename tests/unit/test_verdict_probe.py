"""One probe: which arrivals are judged, what its figures hold, and when the client withholds it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.slo import Slo
from loadtest.verdict.attainment import verdict, wilson
from loadtest.verdict.client_check import check
from loadtest.verdict.histogram import Histogram
from loadtest.verdict.probe_result import Offered, judge
from tests.unit.verdict_world import CHAT, WELL, answered

BATCH = Slo("batch", None, None)


def test_the_window_begins_with_the_end_of_the_warm_up_and_ends_before_the_last_second() -> None:
    probe = judge(answered(31), Offered(0, 0, 1.0, 5.0, 30.0), [CHAT], [0.9], WELL)
    assert probe.ttft.count == 25
    assert probe.good_rate == probe.scheduled_rate == 1.0


def test_rows_of_other_probes_and_targets_are_not_judged() -> None:
    found = answered(30, probe=[0, 1, 1] * 10, target=[0, 0, 1] * 10)
    assert judge(found, Offered(1, 1, 1.0, 0.0, 30.0), [CHAT], [0.9], WELL).attainment.value == 1.0
    assert judge(found, Offered(1, 1, 1.0, 0.0, 30.0), [CHAT], [0.9], WELL).ttft.count == 10


def test_quantiles_are_exact_and_answers_that_never_came_are_in_none() -> None:
    first = np.arange(100) + np.append(np.arange(99) / 1000, np.nan)
    probe = judge(answered(100, first=first), Offered(0, 0, 1.0, 0.0, 100.0), [CHAT], [0.9], WELL)
    assert (probe.ttft.count, probe.ttft.max) == (99, pytest.approx(0.098))
    assert probe.ttft.p50 == pytest.approx(0.049)


def test_the_histograms_of_two_runs_add_up_to_that_of_both() -> None:
    first = np.arange(200) + np.geomspace(0.01, 2.0, 200)
    halves = [Offered(0, 0, 1.0, 0.0, 100.0), Offered(0, 0, 1.0, 100.0, 200.0), Offered(0, 0, 1.0, 0.0, 200.0)]
    one, two, both = (
        judge(answered(200, first=first), half, [CHAT], [0.9], WELL).histograms["ttft"] for half in halves
    )
    merged = Histogram.from_dict(one)
    merged.merge(Histogram.from_dict(two))
    assert merged.to_dict()["counts"] == both["counts"]
    assert merged.quantile(0.5) == pytest.approx(np.median(first - np.arange(200)), rel=0.03)


def test_a_probe_without_requests_has_no_figures_and_no_verdict() -> None:
    probe = judge(answered(0), Offered(0, 0, 1.0, 5.0, 30.0), [CHAT], [0.9], WELL)
    assert probe.verdicts == {"0.9": "undecided"}
    assert math.isnan(probe.attainment.value)
    assert math.isnan(probe.ttft.p50)


def test_answers_without_a_tpot_are_counted_apart() -> None:
    tokens = np.array([1, -1, 11, 11, 11])
    probe = judge(answered(5, output_tokens=tokens), Offered(0, 0, 1.0, 0.0, 5.0), [CHAT], [0.9], WELL)
    assert (probe.undefined_tpot, probe.tpot.count, probe.output_tokens) == (2, 3, 34)


def test_classes_are_judged_apart() -> None:
    found = answered(10, slo=[0, 1] * 5, first=np.arange(10) + 2.0)
    probe = judge(found, Offered(0, 0, 1.0, 0.0, 10.0), [CHAT, BATCH], [0.9], WELL)
    assert [entry.attainment.value for entry in probe.classes] == [0.0, 1.0]
    assert probe.attainment.value == 0.5


def test_a_probe_that_ended_early_fails_and_is_judged_on_its_later_half() -> None:
    offered = Offered(0, 0, 1.0, 4.0, 20.0, ended_early="the backlog grew")
    probe = judge(answered(30), offered, [BATCH], [0.9, 0.99], WELL)
    assert probe.verdicts == {"0.9": "fail", "0.99": "fail"}
    assert (probe.window_seconds, probe.ttft.count) == (8.0, 8)


def test_a_client_that_keeps_up_gives_no_reason() -> None:
    assert check(np.array([0.001] * 100), 0.004, 0.9, 0, 0).reasons == ()
    assert check(np.array([]), math.nan, 0.1, 0, 0).reasons == ()


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ((0.006, 0.0, 0.1, 0), "late"),
        ((0.0, 0.006, 0.1, 0), "loop"),
        ((0.0, 0.0, 0.91, 0), "core"),
        ((0.0, 0.0, 0.1, 1), "never sent"),
    ],
)
def test_each_way_to_be_the_limit_gives_its_reason(figures: tuple[float, float, float, int], word: str) -> None:
    lag, loop, cpu, dropped = figures
    (reason,) = check(np.full(100, lag), loop, cpu, 0, dropped).reasons
    assert word in reason


def test_one_request_in_two_hundred_may_be_sent_late() -> None:
    assert check(np.array([0.001] * 199 + [1.0]), 0.0, 0.1, 1, 0).reasons == ()


@given(st.integers(1, 5000), st.data())
def test_the_interval_holds_its_share_and_stays_within_0_and_1(total: int, data: st.DataObject) -> None:
    interval = wilson(data.draw(st.integers(0, total)), total)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_the_interval_is_the_published_one() -> None:
    interval = wilson(95, 100)  # Newcombe 1998's method 3
    assert (interval.low, interval.high) == (pytest.approx(0.8882, abs=1e-4), pytest.approx(0.9785, abs=1e-4))


def test_a_verdict_needs_the_whole_interval_on_one_side() -> None:
    assert verdict(wilson(990, 1000), 0.95) == "pass"
    assert verdict(wilson(900, 1000), 0.95) == "fail"
    assert verdict(wilson(95, 100), 0.95) == "undecided"
    assert verdict(wilson(100, 100), 0.99) == "undecided"
    assert verdict(wilson(381, 381), 0.99) == "pass"
