"""When things begin: the point processes, exact and by seed; it does not know what begins."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from loadtest.plan import Arrivals
from loadtest.traffic.columns import Floats

_CELLS = 4096
_NEWTON_STEPS = 12


def times(arrivals: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    """Sorted times in [0, seconds), of which `rate * seconds` are expected: every process is in its steady state.

    One `rng` state gives the same pattern at every rate, only denser: gaps are drawn in units of the mean gap.
    Kind `trace` has times of its own and is an error here.
    """
    if not (math.isfinite(rate) and math.isfinite(seconds) and rate >= 0 and seconds >= 0):
        raise ValueError(f"rate {rate} and seconds {seconds}: both must be finite and not negative")
    if arrivals.kind == "trace":
        raise ValueError("arrivals of kind trace have times of their own: ask schedule()")
    if rate * seconds == 0:
        return np.empty(0)
    found = _PROCESSES[arrivals.kind](arrivals, rate, seconds, rng)
    return found[found < seconds]


def _poisson(_: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    return _renewal(rng.standard_exponential, 1.0, rate * seconds) / rate


def _constant(_: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    return np.asarray((rng.random() + np.arange(math.ceil(rate * seconds))) / rate, np.float64)


def _gamma(arrivals: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    """Gamma gaps. The first is what is left of a gap that time 0 hit, else bursty traffic begins with a burst."""
    scale = arrivals.cv**2
    shape = 1 / scale
    begun = rng.random() * rng.gamma(shape + 1, scale)
    later = _renewal(lambda count: rng.gamma(shape, scale, count), arrivals.cv, max(0.0, rate * seconds - begun))
    return np.concatenate([[begun], begun + later]) / rate


def _diurnal(arrivals: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    """A sinusoid that begins at its trough, scaled to the mean `rate` over [0, seconds) even if that is no whole day.

    In radians the cumulative rate is x - e sin x: Kepler's equation, solved by Newton steps kept within a cell of a
    table whose cells are convex or concave throughout, so that it converges for every peak_ratio.
    """
    eccentricity = (arrivals.peak_ratio - 1) / (arrivals.peak_ratio + 1)
    radians = 2 * math.pi / arrivals.period_seconds
    end = radians * seconds
    whole = end - eccentricity * math.sin(end)
    area = _renewal(rng.standard_exponential, 1.0, rate * seconds) * (whole / (rate * seconds))
    periods = np.floor(area / (2 * math.pi))
    area -= periods * 2 * math.pi
    edges = np.linspace(0.0, 2 * math.pi, _CELLS + 1)
    cell = np.clip(np.searchsorted(edges - eccentricity * np.sin(edges), area, side="right") - 1, 0, _CELLS - 1)
    low, high = edges[cell], edges[cell + 1]
    angle = (low + high) / 2
    for _ in range(_NEWTON_STEPS):
        slope = np.maximum(1 - eccentricity * np.cos(angle), 1e-12)
        angle = np.clip(angle - (angle - eccentricity * np.sin(angle) - area) / slope, low, high)
    return np.asarray((periods * 2 * math.pi + angle) / radians)


def _bursts(arrivals: Arrivals, rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    """A Poisson process whose rate a two-state Markov chain switches, begun in the chain's steady state.

    Its rates are scaled to the mean `rate` over [0, seconds): else what a short probe offers is up to its first burst.
    """
    burst, rest = arrivals.burst_seconds, arrivals.period_seconds - arrivals.burst_seconds
    if rest <= 0:
        raise ValueError(
            f"arrivals.burst_seconds {burst:g} must be shorter than arrivals.period_seconds {arrivals.period_seconds:g}"
        )
    levels, stays = [arrivals.peak_ratio, 1.0], [burst, rest]
    if rng.random() >= burst / arrivals.period_seconds:
        levels, stays = levels[::-1], stays[::-1]
    mean = arrivals.period_seconds / 2
    switches = mean * _renewal(
        lambda count: (rng.standard_exponential((count // 2, 2)) * stays).ravel() / mean, 2.0, seconds / mean
    )
    edges = np.concatenate([[0.0], switches, [seconds]])
    level = np.resize(levels, len(edges) - 1)
    area = np.concatenate([[0.0], np.cumsum(np.diff(edges) * level)])
    units = _renewal(rng.standard_exponential, 1.0, rate * seconds) / (rate * seconds)
    return np.asarray(np.interp(units * area[-1], area, edges))


_PROCESSES: dict[str, Callable[[Arrivals, float, float, np.random.Generator], Floats]] = {
    "poisson": _poisson,
    "gamma": _gamma,
    "constant": _constant,
    "diurnal": _diurnal,
    "bursts": _bursts,
}


def _renewal(gaps: Callable[[int], Floats], cv: float, until: float) -> Floats:
    """The sums of gaps of mean 1 that are below `until`."""
    count = 2 * math.ceil((until + 4 * cv * math.sqrt(until) + 16) / 2)
    sums = np.cumsum(gaps(count))
    while sums[-1] < until:
        sums = np.concatenate([sums, sums[-1] + np.cumsum(gaps(count))])
    return sums[: np.searchsorted(sums, until)]
