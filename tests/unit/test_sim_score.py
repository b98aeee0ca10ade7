"""The score and the oracle: what they reward, and what no law can beat."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.simulate import oracle, score, traffic
from autoscale.simulate.fleet import Results
from autoscale.simulate.run_result import Run, Spans, Steps, Totals
from loadtest.slo import PRESETS

CHAT = PRESETS["chat"]


def run(good: int, gpu_hours: float, flips: int = 0) -> Run:
    totals = Totals(1000, good, 0, good / 1000, gpu_hours, flips, 4, 0.0, 0)
    return Run("law", "", 1, Steps((), (), (), (), (), {}, ()), Spans(60, (), (), ()), totals)


def test_a_request_is_good_within_both_limits_and_not_when_it_was_refused_or_never_answered() -> None:
    ttft = np.array([0.4, 0.6, 0.4, np.nan, 0.4, 0.4])
    tpot = np.array([0.04, 0.04, 0.06, np.nan, np.nan, 0.04])
    rejected = np.array([False, False, False, False, False, True])
    assert score.good(Results(ttft, tpot, rejected), CHAT).tolist() == [True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("good", "gpu_hours", "expected"), [(900, 10, 1.0), (450, 10, 0.5), (900, 20, 0.5), (900, 5, 1.0), (450, 20, 0.25)]
)
def test_the_score_is_goodput_times_thrift_and_thrift_beyond_the_oracle_earns_nothing(
    good: int, gpu_hours: float, expected: float
) -> None:
    assert score.score(run(good, gpu_hours), run(900, 10), 2).score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "turns"), [([1, 1, 1], 0), ([1, 2, 2, 3], 0), ([1, 2, 1], 1), ([1, 3, 3, 2, 2, 4], 2), ([], 0), ([5], 0)]
)
def test_a_flip_is_a_turn_of_direction_however_long_it_rests(values: list[float], turns: int) -> None:
    assert score.turns(values) == turns


def test_flips_are_held_against_the_turns_of_the_load() -> None:
    assert score.score(run(900, 10, flips=6), run(900, 10), 3).flips_per_change == 2
    bursty = traffic.draw("bursty", 10.0, 1)
    assert score.load_changes(bursty.total_rate(np.arange(0, bursty.seconds, 60.0))) == 5
    noisy = np.full(100, 50.0) + np.random.default_rng(1).normal(0, 0.5, 100)
    assert score.load_changes(noisy) == 0


def test_spans_count_by_arrival_and_recovery_is_the_longest_stretch_below_nine_of_ten() -> None:
    at = np.repeat(np.arange(10) * 60.0 + 1, 10)
    bad = (at > 120) & (at < 300)
    ttft = np.where(bad, 2.0, 0.1)
    of = score.spans(at, Results(ttft, ttft * 0, at < 60), CHAT, 600.0, 60.0)
    assert of.offered == (10,) * 10
    assert of.good == (0, 10, 0, 0, 0, 10, 10, 10, 10, 10)
    totals = score.totals(of, [1, 2, 1], 7200.0, 3)
    assert (totals.rejected, totals.good, totals.gpu_hours, totals.flips) == (10, 60, 2.0, 1)
    assert totals.recovery_seconds == 180.0


def test_the_oracle_has_the_replicas_of_a_rate_before_it_comes_and_lets_go_when_it_has_passed() -> None:
    trace = traffic.draw("bursty", 17.25, 1)
    plan = oracle.foreseen(trace, {"chat": 10.0}, 180.0)
    rest, burst = 17.25 / 1.725, 4 * 17.25 / 1.725
    assert plan.at(0) == np.ceil(rest / 10)
    assert plan.at(25 * 60 + 60 - 180) == np.ceil(burst / 10)
    assert plan.at(25 * 60 + 60 - 240) < np.ceil(burst / 10)
    assert plan.at(37 * 60) == np.ceil(rest / 10)
    assert plan.at(1e9) == plan.at(trace.seconds)
    assert oracle.peak(trace, {"chat": 10.0}).at(0) == 5


def test_a_mixture_needs_the_sum_of_what_its_parts_need() -> None:
    trace = traffic.draw("shift", 20.0, 1)
    late = np.array([100 * 60.0])
    expected = trace.rate("chat", late) / 10 + trace.rate("code-relaxed", late) / 5
    assert oracle.needed(trace, {"chat": 10.0, "code-relaxed": 5.0}, late) == pytest.approx(expected)
