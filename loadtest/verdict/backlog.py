"""Whether a server falls behind, from its requests in flight over time; it knows no rate, no SLO and no server."""

from __future__ import annotations

import math

import numpy as np

from loadtest.verdict.measures import Floats

_MIN_SAMPLES = 20
_MAX_SAMPLES = 200
_SURE = 3.2
_LAGS = 4
_MATERIAL = 20.0
_MATERIAL_SHARE = 0.6
_STEADY = 0.7


def grows(seconds: Floats, in_flight: Floats, settled_seconds: float = 0.0) -> bool:
    """Whether `in_flight` rises for good: surely, by much, and without levelling off.

    `settled_seconds`: samples before it are left out. Any server fills up until answers end as fast as they begin,
    so it should be the warm-up or how long answers last, whichever is more.

    Sure means against a queue at the very edge of its capacity, which wanders like a random walk: the robust slope
    (Theil-Sen) must exceed what such a walk would show by chance, given the size of the steps that were seen.
    """
    kept = seconds >= settled_seconds
    times, level = seconds[kept], in_flight[kept]
    if len(times) < _MIN_SAMPLES:
        return False
    if len(times) > _MAX_SAMPLES:
        thinned = np.linspace(0, len(times) - 1, _MAX_SAMPLES).astype(np.int64)
        times, level = times[thinned], level[thinned]
    span = float(times[-1] - times[0])
    rise = slope(times, level) * span
    begin = float(np.median(level[: max(len(level) // 6, 1)]))
    if rise < max(_MATERIAL, _MATERIAL_SHARE * begin):
        return False
    half = len(times) // 2
    levels_off = slope(times[half:], level[half:]) * span < _STEADY * rise
    return not levels_off and rise > _SURE * _walk_deviation(level)


def slope(seconds: Floats, values: Floats) -> float:
    """Median of the slopes between all pairs, per second."""
    one, other = np.triu_indices(len(seconds), 1)
    gaps = seconds[other] - seconds[one]
    apart = gaps > 0
    return float(np.median((values[other] - values[one])[apart] / gaps[apart])) if apart.any() else 0.0


def _walk_deviation(level: Floats) -> float:
    """Standard deviation of the rise that a driftless walk of these steps shows, neighbouring steps correlated."""
    steps = np.diff(level)
    steps = steps - steps.mean()
    variance = float(steps @ steps)
    for lag in range(1, min(_LAGS, len(steps) - 1) + 1):
        variance += 2 * (1 - lag / (_LAGS + 1)) * float(steps[lag:] @ steps[:-lag])
    # A fitted slope over a walk has 6/5 of the variance of the walk's own end.
    return math.sqrt(max(variance, float(steps @ steps) / 4) * 1.2)
