"""Traffic traces by name: requests whose rate is known at every moment, so that an oracle can plan for it.

The shared generator draws a stationary process; a rate of our own shape then stretches its times. It knows no fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from autoscale.simulate.fleet import Floats, Ints, Requests
from loadtest.plan import Arrivals, Workload
from loadtest.traffic import schedule
from loadtest.traffic.columns import Columns
from loadtest.traffic.presets import WORKLOADS

HOUR = 3600.0
_KNOTS_PER_DAY = 96

Curve = tuple[Floats, Floats]
"""Seconds and requests per second at them, linear between."""


@dataclass(frozen=True)
class Shape:
    """A trace before it is drawn: the rate of each workload over time, as a multiple of the mean rate."""

    about: str
    seconds: float
    curves: Mapping[str, Curve]
    """By the name of a workload of `loadtest`."""
    cv: float = 1.09
    """Coefficient of variation of the gaps between requests, at a steady rate; Azure's conversations have 1.09."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests by time, and the rates that they were drawn at."""

    name: str
    about: str
    seconds: float
    requests: Requests
    rates: Mapping[str, Curve]

    def rate(self, workload: str, at: Floats) -> Floats:
        """Requests per second of one workload; before and after the trace as at its ends."""
        times, rates = self.rates[workload]
        return np.interp(at, times, rates)

    def total_rate(self, at: Floats) -> Floats:
        """Requests per second of all workloads."""
        total: Floats = np.sum([self.rate(workload, at) for workload in self.rates], axis=0)
        return total


def shape(name: str, hours: float | None = None) -> Shape:
    """One of NAMES, in `hours` instead of its own length. Raises `ValueError` for another name."""
    if name not in _SHAPES:
        raise ValueError(f"trace: {name!r} is none of {', '.join(NAMES)}")
    own = _SHAPES[name]()
    if hours is None:
        return own
    if hours <= 0:
        raise ValueError(f"hours: {hours:g} must be above 0")
    factor = hours * HOUR / own.seconds
    curves = {of: (times * factor, rates) for of, (times, rates) in own.curves.items()}
    return Shape(own.about, hours * HOUR, curves, own.cv)


def draw(name: str, mean_rate: float, seed: int, hours: float | None = None) -> Trace:
    """The trace at so many requests per second on average; the same for the same arguments."""
    if mean_rate <= 0:
        raise ValueError(f"mean_rate: {mean_rate:g} must be above 0")
    of = shape(name, hours)
    mean = sum(float(np.trapezoid(rates, times)) for times, rates in of.curves.values()) / of.seconds
    rates = {workload: (times, curve * (mean_rate / mean)) for workload, (times, curve) in of.curves.items()}
    parts = [
        _drawn(WORKLOADS[workload], curve, of, seed + 7919 * at) for at, (workload, curve) in enumerate(rates.items())
    ]
    return Trace(name, of.about, of.seconds, _merged(parts), rates)


def constant(workload: str, rate: float, seconds: float, seed: int) -> Requests:
    """Poisson arrivals of a workload at one rate: what a knee is looked for with."""
    return drawn(WORKLOADS[workload], rate, seconds, seed)


def drawn(workload: Workload, rate: float, seconds: float, seed: int) -> Requests:
    """The same of any workload: the requests that a probe of the load test with this seed sends."""
    return _requests(schedule.columns(workload, Arrivals(), rate, seconds, seed))


def _drawn(workload: Workload, curve: Curve, of: Shape, seed: int) -> Requests:
    times = np.linspace(0.0, of.seconds, 1 + round(of.seconds))
    expected = np.concatenate([[0.0], np.cumsum((_at(curve, times[1:]) + _at(curve, times[:-1])) / 2 * np.diff(times))])
    mean = expected[-1] / of.seconds
    arrivals = Arrivals(kind="gamma", cv=of.cv)
    drawn = _requests(schedule.columns(workload, arrivals, float(mean), of.seconds, seed))
    stretched = np.interp(drawn.at_seconds * mean, expected, times)
    return drawn._replace(at_seconds=stretched)


def _at(curve: Curve, times: Floats) -> Floats:
    return np.interp(times, *curve)


def _requests(drawn: Columns) -> Requests:
    """Each session's first turn; the presets used here have no other."""
    first = drawn.first_turn[:-1]
    return Requests(
        at_seconds=drawn.at_seconds,
        prompt_tokens=_ints(drawn.input_tokens[first] + drawn.prefix_tokens),
        output_tokens=_ints(drawn.output_tokens[first]),
        group=np.full(len(first), -1, np.int32),
        prefix_tokens=np.zeros(len(first), np.int32),
    )


def _ints(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Ints:
    return values.astype(np.int32)


def _merged(parts: list[Requests]) -> Requests:
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return Requests(*(column[order] for column in joined))


def _curve(*points: tuple[float, float]) -> Curve:
    times, rates = zip(*points, strict=True)
    return np.array(times, np.float64), np.array(rates, np.float64)


def _bursty() -> Shape:
    """Three bursts, each up and down within a minute: faster than any engine starts."""
    points = [(0.0, 1.0)]
    for begin_minute, minutes, height in ((25, 10, 4.0), (60, 6, 2.5), (85, 12, 5.0)):
        begin, end = begin_minute * 60.0, (begin_minute + minutes) * 60.0
        points += [(begin, 1.0), (begin + 60, height), (end, height), (end + 60, 1.0)]
    about = "2 h with three bursts to 4, 2.5 and 5 times the rest, each within a minute; peak 2.9 times the mean"
    return Shape(about, 2 * HOUR, {"chat": _curve(*points, (2 * HOUR, 1.0))})


def _diurnal() -> Shape:
    times = np.linspace(0.0, 24 * HOUR, 1 + _KNOTS_PER_DAY)
    rates = 2.5 - 1.5 * np.cos(2 * np.pi * times / (24 * HOUR))
    return Shape("a day that begins at its trough; peak 1.6 times the mean", 24 * HOUR, {"chat": (times, rates)})


def _steady() -> Shape:
    about = "one rate for two hours, in bursts of seconds: gaps with a coefficient of variation of 3"
    return Shape(about, 2 * HOUR, {"chat": _curve((0, 1), (2 * HOUR, 1))}, cv=3.0)


def _ramp() -> Shape:
    curve = _curve((0, 2), (15 * 60, 2), (45 * 60, 10), (60 * 60, 10), (80 * 60, 1), (90 * 60, 1))
    return Shape("90 min: from 2 up to 10 within half an hour, down to 1", 1.5 * HOUR, {"chat": curve})


def _shift() -> Shape:
    chat = _curve((0, 1), (40 * 60, 1), (50 * 60, 0.3), (2 * HOUR, 0.3))
    code = _curve((0, 0.05), (40 * 60, 0.05), (50 * 60, 0.7), (2 * HOUR, 0.7))
    about = "2 h at one rate: conversations give way to code, long prompts with short answers"
    return Shape(about, 2 * HOUR, {"chat": chat, "code-relaxed": code})


_SHAPES: Mapping[str, Callable[[], Shape]] = {
    "bursty": _bursty,
    "diurnal": _diurnal,
    "steady": _steady,
    "ramp": _ramp,
    "shift": _shift,
}
NAMES = tuple(_SHAPES)
