"""Which sessions begin when, and what they ask: a workload at a rate, by seed; it knows no clock and no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np

from loadtest.plan import Arrivals, TrafficClass, Workload
from loadtest.traffic.arrivals import times
from loadtest.traffic.columns import Columns, Ints, offsets, superposed, within
from loadtest.traffic.lengths import lengths, mean_turns, thinks, turn_counts
from loadtest.traffic.replay import Pace, replayed
from loadtest.traffic.session import Session
from loadtest.traffic.traces import read

_PILOT_SESSIONS = 8192
_PILOT_SEED = 0


class Draw(IntEnum):
    """What a stream of random numbers is for: each has its own, so that a change of one leaves the others alone."""

    ARRIVALS = 0
    TURNS = 1
    INPUT = 2
    OUTPUT = 3
    THINK = 4
    PREFIX = 5
    OPENING = 6
    CLASS = 7


def schedule(workload: Workload, arrivals: Arrivals, rate: float, seconds: float, seed: int) -> list[Session]:
    """The sessions that begin in [0, seconds), by time; the same for the same arguments wherever it is asked.

    `rate` is requests per second. Sessions begin at `rate` over their mean turns, and a session's later turns may
    fall after `seconds`: a window shorter than a few sessions sees fewer requests than it is offered.
    A trace at `rate` 0 has its own times, over `arrivals.speed`; everything else then has none.
    """
    return columns(workload, arrivals, rate, seconds, seed).sessions()


def columns(workload: Workload, arrivals: Arrivals, rate: float, seconds: float, seed: int) -> Columns:
    """The same as arrays. Each traffic class is a process of its own; together they are superposed."""
    if seed < 0:
        raise ValueError(f"seed {seed}: must not be negative")
    if arrivals.trace is not None:
        weights = np.array([entry.weight for entry in workload.classes])
        drawn = replayed(
            read(arrivals.trace), Pace(rate, arrivals.speed, seconds), weights, _stream(seed, 0, Draw.CLASS)
        )
        return _cut(drawn, workload.max_context_tokens)
    turns = [_mean_turns(workload, index) for index in range(len(workload.classes))]
    share = rate / sum(entry.weight * mean for entry, mean in zip(workload.classes, turns, strict=True))
    parts = []
    for index, entry in enumerate(workload.classes):
        at = times(arrivals, share * entry.weight, seconds, _stream(seed, index, Draw.ARRIVALS))
        parts.append(replace(_content(workload, index, len(at), seed), at_seconds=at))
    return superposed(parts)


def offered(sessions: Sequence[Session]) -> int:
    """Requests, if every session runs to its end."""
    return sum(len(session.turns) for session in sessions)


def share(sessions: Sequence[Session], worker: int, workers: int) -> list[Session]:
    """What one of several workers sends; all shares together are the whole."""
    if not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers}: must be from 0 to {workers - 1}")
    return [session for session in sessions if session.index % workers == worker]


def _stream(seed: int, traffic_class: int, draw: Draw) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, traffic_class, draw])))


def _mean_turns(workload: Workload, index: int) -> float:
    """Requests per session. What the context cuts off has no closed form: a pilot, the same for all seeds, tells."""
    turns = workload.classes[index].turns
    if workload.max_context_tokens is None or turns.high == 1 or turns.mean == 1:
        return mean_turns(turns)
    return float(_content(workload, index, _PILOT_SESSIONS, _PILOT_SEED).turn_counts.mean())


def _content(workload: Workload, index: int, count: int, seed: int) -> Columns:
    """What `count` sessions of one class ask, all at time 0."""
    entry = workload.classes[index]
    first_turn = offsets(turn_counts(entry.turns, count, _stream(seed, index, Draw.TURNS)))
    requests = int(first_turn[-1])
    inputs = lengths(entry.input, requests, _stream(seed, index, Draw.INPUT))
    if entry.opening is not None:
        inputs[first_turn[:-1]] = lengths(entry.opening, count, _stream(seed, index, Draw.OPENING))
    think = thinks(entry.turns, requests, _stream(seed, index, Draw.THINK))
    think[first_turn[:-1]] = 0.0
    drawn = Columns(
        at_seconds=np.zeros(count),
        traffic_class=np.full(count, index),
        prefix=_prefixes(entry, count, _stream(seed, index, Draw.PREFIX)),
        prefix_tokens=np.full(count, entry.prefix_tokens),
        first_turn=first_turn,
        input_tokens=inputs,
        output_tokens=lengths(entry.output, requests, _stream(seed, index, Draw.OUTPUT)),
        think_seconds=think,
    )
    return _cut(drawn, workload.max_context_tokens)


def _prefixes(entry: TrafficClass, count: int, rng: np.random.Generator) -> Ints:
    """Zipf: the k-th prefix is drawn in proportion to 1 / k."""
    if entry.prefix_tokens == 0:
        return np.full(count, -1)
    ranks = np.cumsum(1 / np.arange(1, entry.prefixes + 1))
    return np.searchsorted(ranks / ranks[-1], rng.random(count), side="right")


def _cut(drawn: Columns, max_context_tokens: int | None) -> Columns:
    return drawn if max_context_tokens is None else within(drawn, max_context_tokens)
