"""A recorded trace as sessions, at its own pace or at a rate; it reads no file and draws no lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from loadtest.traffic.columns import Columns, Floats, offsets, superposed
from loadtest.traffic.traces import Trace


@dataclass(frozen=True)
class Pace:
    """How fast, and for how long. With a rate, `speed` says nothing."""

    rate: float
    """Requests per second; 0: the trace's own."""
    speed: float
    seconds: float


def replayed(trace: Trace, pace: Pace, weights: Floats, rng: np.random.Generator) -> Columns:
    """The trace's sessions that begin in [0, seconds), their thinking scaled like their times.

    At a rate, a trace that is too short begins again. Traffic classes are drawn by weight.
    """
    if not (math.isfinite(pace.rate) and math.isfinite(pace.seconds) and pace.rate >= 0 and pace.seconds >= 0):
        raise ValueError(f"rate {pace.rate} and seconds {pace.seconds}: both must be finite and not negative")
    if pace.rate and not trace.rate:
        raise ValueError("a trace whose requests all come at once has no rate that could be scaled")
    scale = trace.rate / pace.rate if pace.rate else 1 / pace.speed
    whole = _recorded(trace)
    if pace.rate:
        length = len(trace.at_seconds) / trace.rate
        rounds = max(1, math.ceil(pace.seconds / (length * scale)))
        whole = superposed([replace(whole, at_seconds=whole.at_seconds + length * round_) for round_ in range(rounds)])
    scaled = replace(whole, at_seconds=whole.at_seconds * scale, think_seconds=whole.think_seconds * scale)
    began = scaled.taken(np.flatnonzero(scaled.at_seconds < pace.seconds))
    drawn = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(len(began.at_seconds)), side="right")
    return replace(began, traffic_class=drawn)


def _recorded(trace: Trace) -> Columns:
    """One session per session key, and one per request that has none."""
    lone = trace.session < 0
    key = np.where(lone, trace.session.max(initial=-1) + 1 + np.arange(len(lone)), trace.session)
    order = np.lexsort((trace.at_seconds, key))
    opening = np.flatnonzero(np.diff(key[order], prepend=-1))
    later = np.ones(len(order), bool)
    later[opening] = False
    at, inputs, outputs = trace.at_seconds[order], trace.input_tokens[order], trace.output_tokens[order]
    ended = at + np.nan_to_num(trace.answer_seconds[order])
    known = np.concatenate([[0], (inputs + outputs)[:-1]])
    known[opening] = trace.prefix_tokens[order][opening]
    found = Columns(
        at_seconds=at[opening],
        traffic_class=np.zeros(len(opening), np.int64),
        prefix=trace.prefix[order][opening],
        prefix_tokens=trace.prefix_tokens[order][opening],
        first_turn=offsets(np.diff(opening, append=len(order))),
        input_tokens=np.maximum(1, inputs - known),
        output_tokens=outputs,
        think_seconds=np.where(later, np.maximum(0.0, at - np.concatenate([[0.0], ended[:-1]])), 0.0),
    )
    return superposed([found])
