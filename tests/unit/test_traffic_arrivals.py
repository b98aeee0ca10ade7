"""The point processes against their analytic moments; each bound is five standard errors of its own sample size."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from loadtest.plan import Arrivals
from loadtest.traffic.arrivals import times
from loadtest.traffic.columns import Floats

SIGMAS = 5.0
KINDS = {
    "poisson": Arrivals(),
    "gamma": Arrivals(kind="gamma", cv=3),
    "smooth": Arrivals(kind="gamma", cv=0.3),
    "constant": Arrivals(kind="constant"),
    "diurnal": Arrivals(kind="diurnal", period_seconds=100, peak_ratio=4),
    "bursts": Arrivals(kind="bursts", burst_seconds=5, period_seconds=50, peak_ratio=10),
}


def drawn(kind: str | Arrivals, rate: float, seconds: float, seed: int = 1) -> Floats:
    arrivals = KINDS[kind] if isinstance(kind, str) else kind
    return times(arrivals, rate, seconds, np.random.default_rng(seed))


def counted(at: Floats, seconds: float, windows: int) -> Floats:
    """Arrivals per window."""
    return np.histogram(at, bins=windows, range=(0, seconds))[0].astype(np.float64)


def mmpp_dispersion(arrivals: Arrivals, rate: float, window: float) -> float:
    """Variance over mean of a stationary two-state MMPP's counts in a window (Heffes and Lucantoni, 1986)."""
    burst, rest = arrivals.burst_seconds, arrivals.period_seconds - arrivals.burst_seconds
    quiet = rate * arrivals.period_seconds / (burst * arrivals.peak_ratio + rest)
    in_burst = burst / arrivals.period_seconds
    relaxing = 1 / burst + 1 / rest
    spread = in_burst * (1 - in_burst) * (quiet * (arrivals.peak_ratio - 1)) ** 2
    excess = 2 * spread * (window / relaxing - (1 - math.exp(-relaxing * window)) / relaxing**2)
    return 1 + excess / (rate * window)


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_sorted_within_the_window_and_the_same_for_one_seed(kind: str) -> None:
    at = drawn(kind, 50, 333)
    assert np.all(np.diff(at) >= 0)
    assert 0 <= at[0] < 5
    assert 328 < at[-1] < 333
    assert np.array_equal(at, drawn(kind, 50, 333))
    assert not np.array_equal(at[:100], drawn(kind, 50, 333, seed=2)[:100])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "seconds"), [(2.0, 30.0), (40.0, 130.0)])
def test_the_mean_rate_is_the_one_asked_for_even_in_short_windows(kind: str, rate: float, seconds: float) -> None:
    counts = np.array([len(drawn(kind, rate, seconds, seed)) for seed in range(600)])
    error = max(counts.std(), 0.5) / math.sqrt(len(counts))
    assert abs(counts.mean() - rate * seconds) < SIGMAS * error


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(drawn("poisson", 20, 10_000)) * 20
    # Var of a squared exponential's mean: E[X^4] - E[X^2]^2 = 24 - 4.
    assert abs(np.mean(gaps**2) - 2) < SIGMAS * math.sqrt(20 / len(gaps))
    assert abs(np.mean(gaps > 1) - math.exp(-1)) < SIGMAS * math.sqrt(0.25 / len(gaps))
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < SIGMAS / math.sqrt(len(gaps))


def test_poisson_counts_have_a_dispersion_of_one() -> None:
    counts = counted(drawn("poisson", 20, 10_000), 10_000, 10_000)
    assert abs(counts.var() / counts.mean() - 1) < SIGMAS * math.sqrt(2 / len(counts))


@pytest.mark.parametrize("cv", [0.3, 1.0, 3.0, 13.15])
def test_gamma_gaps_have_the_cv_asked_for(cv: float) -> None:
    gaps = np.diff(drawn(Arrivals(kind="gamma", cv=cv), 100, 20_000)) * 100
    # The fourth central moment of a gamma of mean 1 is 3 cv^4 + 6 cv^6.
    assert abs(gaps.mean() - 1) < SIGMAS * cv / math.sqrt(len(gaps))
    assert abs(gaps.var() - cv**2) < SIGMAS * math.sqrt((2 * cv**4 + 6 * cv**6) / len(gaps))


@pytest.mark.parametrize("cv", [0.3, 3.0])
def test_gamma_dispersion_over_long_windows_is_the_cv_squared(cv: float) -> None:
    counts = counted(drawn(Arrivals(kind="gamma", cv=cv), 100, 40_000), 40_000, 1_000)
    assert counts.var() / counts.mean() == pytest.approx(cv**2, rel=SIGMAS * math.sqrt(2 / 1_000), abs=0.02)


def test_gamma_does_not_begin_with_a_burst() -> None:
    early = [np.count_nonzero(drawn("gamma", 10, 10, seed) < 0.1) for seed in range(5_000)]
    # An ordinary renewal process, begun at an arrival, would have 3.7 here instead of 1.
    assert abs(np.mean(early) - 1) < SIGMAS * np.std(early) / math.sqrt(len(early))


def test_long_silences_are_followed_to_the_end_of_the_window() -> None:
    found = [drawn(Arrivals(kind="gamma", cv=40), 10, 30, seed) for seed in range(300)]
    assert all(np.all(np.diff(at) >= 0) for at in found)
    counts = np.array([len(at) for at in found])
    assert abs(counts.mean() - 300) < SIGMAS * counts.std() / math.sqrt(len(counts))


def test_constant_gaps_are_equal() -> None:
    assert np.diff(drawn("constant", 8, 100)) == pytest.approx(1 / 8)


@pytest.mark.parametrize("peak_ratio", [1.0, 4.0, 1e6])
def test_the_diurnal_rate_is_a_sinusoid_from_its_trough(peak_ratio: float) -> None:
    periods, slots = 40, 16
    at = drawn(Arrivals(kind="diurnal", period_seconds=100, peak_ratio=peak_ratio), 250, 100 * periods)
    counts = counted(at % 100, 100, slots)
    edges = np.linspace(0, 2 * math.pi, slots + 1)
    swing = (peak_ratio - 1) / (peak_ratio + 1)
    expected = 250 * 100 * periods * np.diff(edges - swing * np.sin(edges)) / (2 * math.pi)
    assert np.all(np.abs(counts - expected) < SIGMAS * np.sqrt(expected) + 1)


def test_the_diurnal_peak_over_trough_is_the_ratio_asked_for() -> None:
    at = drawn(Arrivals(kind="diurnal", period_seconds=1000, peak_ratio=3), 100, 10_000) % 1000
    trough, peak = np.count_nonzero((at < 25) | (at >= 975)), np.count_nonzero((at >= 475) & (at < 525))
    # The mean of a cosine over a twentieth of its period around its top is 0.9959.
    expected = (1 + 0.5 * 0.9959) / (1 - 0.5 * 0.9959)
    assert abs(peak / trough - expected) < SIGMAS * expected * math.sqrt(1 / peak + 1 / trough)


def test_a_diurnal_window_shorter_than_its_period_keeps_the_rate_and_rises() -> None:
    at = drawn(Arrivals(kind="diurnal", period_seconds=86_400), 10, 36_000)
    assert abs(len(at) - 360_000) < SIGMAS * math.sqrt(360_000)
    first, last = np.count_nonzero(at < 3_600), np.count_nonzero(at >= 32_400)
    assert last > 2 * first


def test_bursts_have_the_dispersion_of_their_markov_chain() -> None:
    arrivals, window, windows = KINDS["bursts"], 20.0, 20_000
    counts = counted(drawn(arrivals, 30, window * windows), window * windows, windows)
    expected = mmpp_dispersion(arrivals, 30, window)
    # Neighbouring windows correlate and counts are skewed: the error is taken from 100 blocks of the sample itself.
    blocks = ((counts - 30 * window) ** 2 / (30 * window)).reshape(100, -1).mean(axis=1)
    assert expected > 100
    assert abs(blocks.mean() - expected) < SIGMAS * blocks.std() / math.sqrt(len(blocks))


def test_a_burst_is_peak_ratio_times_the_rest() -> None:
    counts = counted(drawn("bursts", 1_000, 5_000), 5_000, 10_000) * 2
    # Half-second windows are nearly always of one state: two peaks of a histogram, at the two rates.
    middle = 4 * 1_000 * 50 / (5 * 10 + 45)
    assert np.median(counts[counts > middle]) == pytest.approx(10 * np.median(counts[counts < middle]), rel=0.02)
    assert np.mean(counts > middle) == pytest.approx(0.1, abs=SIGMAS * math.sqrt(2 * 0.1 * 0.9 * 4.5 / 5_000))


def test_a_window_shorter_than_a_period_of_bursts_keeps_the_rate() -> None:
    counts = np.array([len(drawn("bursts", 40, 20, seed)) for seed in range(400)])
    # Poisson noise and none of the chain's: the variance of 400 counts is within five errors of 40 * 20.
    assert abs(counts.var() / 800 - 1) < SIGMAS * math.sqrt(2 / 400)


@pytest.mark.parametrize("kind", ["poisson", "gamma", "bursts"])
def test_a_higher_rate_keeps_the_pattern(kind: str) -> None:
    if kind == "bursts":
        busy = [counted(drawn(kind, rate, 500), 500, 100) / rate for rate in (200, 800)]
        assert np.corrcoef(*busy)[0, 1] > 0.98
    else:
        slow, fast = drawn(kind, 5, 100), drawn(kind, 20, 100)
        assert fast[: len(slow)] * 4 == pytest.approx(slow)


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("poisson", [0.107303, 0.138148, 0.675692]),
        ("gamma", [0.806436, 1.52074, 1.521133]),
        ("constant", [0.051182, 0.151182, 0.251182]),
        ("diurnal", [0.268238, 0.34533, 1.684515]),
        ("bursts", [0.020557, 0.403632, 1.707319]),
    ],
)
def test_the_first_times_of_seed_1_stay_what_they_are(kind: str, first: list[float]) -> None:
    assert drawn(kind, 10, 100)[:3] == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 10.0), (10.0, 0.0)])
def test_nothing_is_offered_at_no_rate_or_in_no_time(rate: float, seconds: float) -> None:
    assert drawn("gamma", rate, seconds).shape == (0,)


@pytest.mark.parametrize(("rate", "seconds"), [(-1.0, 10.0), (math.nan, 10.0), (10.0, math.inf)])
def test_a_rate_that_cannot_be_is_named(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        drawn("poisson", rate, seconds)


def test_a_burst_longer_than_its_period_is_named() -> None:
    with pytest.raises(ValueError, match=r"burst_seconds 60 must be shorter than arrivals.period_seconds 60"):
        drawn(Arrivals(kind="bursts", burst_seconds=60, period_seconds=60), 1, 1)


def test_a_trace_has_its_own_times() -> None:
    with pytest.raises(ValueError, match="ask schedule"):
        drawn(Arrivals(kind="trace", trace=Path("x.csv")), 1, 1)
