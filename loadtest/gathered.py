"""Joins the pulses of all workers of a probe into one whole, and says when it is not whole; it sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from gevent.event import Event

from loadtest import records
from loadtest.pulse import Pulse
from loadtest.records import Rows
from loadtest.selfcheck import Counts, no_lags

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_SILENCE_SECONDS = 30.0
"""Of a worker that is there and sends no pulse."""


class ProbeBroken(Exception):
    """A probe that cannot be judged, and why.

    `WorkerLost`: a part of its arrivals is lost with a worker · `RunStopped`: somebody stopped locust
    """


class WorkerLost(ProbeBroken):
    """A worker is gone, silent, or cannot run its share."""


class RunStopped(ProbeBroken):
    """Locust's users are gone, as somebody asked it."""


@dataclass(frozen=True)
class Live:
    """A probe that still runs."""

    seconds: float
    """Since it began."""
    parts: Sequence[Rows]
    in_flight_seconds: Floats
    """Since the probe began, one per look at the workers."""
    in_flight: Ints
    """Open requests of all workers at that time."""
    waiting: int
    """Turns that have not begun."""
    late: int
    dropped: int

    @cached_property
    def rows(self) -> Rows:
        """What has ended so far, in no order: ordering a long run twice a second would hold up a local one."""
        return np.concatenate([np.empty(0, records.ROW), *self.parts])


@dataclass(frozen=True)
class Run:
    """A probe that is over."""

    seconds: float
    """From its begin until it was cut, or until its last answer."""
    rows: Rows
    """Ordered as `records.joined` does."""
    loop_lags: Counts
    cpu_share: float
    """Of the busiest worker."""
    late: int
    dropped: int
    in_flight_seconds: Floats
    in_flight: Ints
    ended_early: str
    """What `watch` said; empty when it ran its time."""


class Gathered:
    """What the workers have sent of one probe."""

    def __init__(self, number: int, names: Sequence[str], clock: Callable[[], float]) -> None:
        self._number, self._clock = number, clock
        self._parts: list[Rows] = []
        self._received = dict.fromkeys(names, 0)
        self._heard = dict.fromkeys(names, clock())
        self._newest = {name: Pulse(number, share, seconds=-np.inf) for share, name in enumerate(names)}
        self._lags = no_lags()
        self._samples: list[tuple[float, int]] = []
        self._ended = Event()

    def take(self, name: str, pulse: Pulse) -> None:
        """A pulse; one of another probe or of a worker that has no share is not counted."""
        if pulse.probe != self._number or name not in self._newest:
            return
        part = records.from_bytes(pulse.rows)
        self._parts.append(part)
        self._received[name] += len(part)
        self._heard[name] = self._clock()
        self._newest[name] = pulse
        if pulse.loop_lags:
            self._lags += np.array(pulse.loop_lags)
        if pulse.error or not self._unfinished():
            self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Whether all are done, waiting this long for it. Raises `WorkerLost` when one has failed."""
        self._ended.wait(seconds)
        self.check(self._newest)
        return not self._unfinished()

    def check(self, there: Collection[str]) -> None:
        """Raises `WorkerLost` for a worker that failed, is not there, fell silent, or some of whose rows are."""
        now = self._clock()
        for name, pulse in self._newest.items():
            if pulse.error:
                raise WorkerLost(f"worker {name}: {pulse.error}")
            if self._received[name] != pulse.rows_so_far:
                raise WorkerLost(f"worker {name}: of {pulse.rows_so_far} rows {self._received[name]} came")
            if not pulse.done and name not in there:
                raise WorkerLost(f"worker {name} is gone, and its share of the arrivals with it")
            if not pulse.done and now - self._heard[name] > _SILENCE_SECONDS:
                raise WorkerLost(f"worker {name} has sent nothing for {_SILENCE_SECONDS:.0f} s")

    def live(self) -> Live:
        """So far; each call is a sample of the requests in flight."""
        pulses = self._newest.values()
        seconds = max(0.0, self._seconds())
        if not self._samples or seconds > self._samples[-1][0]:
            self._samples.append((seconds, sum(pulse.in_flight for pulse in pulses)))
        return Live(
            seconds,
            tuple(self._parts),
            *self._in_flight(),
            waiting=sum(pulse.waiting for pulse in pulses),
            late=sum(pulse.late for pulse in pulses),
            dropped=sum(pulse.dropped for pulse in pulses),
        )

    def run(self, ended_early: str, cut_at: float) -> Run:
        """The whole. Raises `WorkerLost` when a worker ended its share early and was not asked to."""
        for name, pulse in self._newest.items():
            if pulse.was_cut and not ended_early:
                raise WorkerLost(f"worker {name} was stopped, and its share of the arrivals with it")
        pulses = self._newest.values()
        seconds, samples = self._in_flight()
        return Run(
            seconds=cut_at if ended_early else self._seconds(),
            rows=records.joined(self._parts),
            loop_lags=self._lags,
            cpu_share=max(pulse.cpu_share for pulse in pulses),
            late=sum(pulse.late for pulse in pulses),
            dropped=sum(pulse.dropped for pulse in pulses),
            in_flight_seconds=seconds,
            in_flight=samples,
            ended_early=ended_early,
        )

    def _unfinished(self) -> bool:
        return not all(pulse.done for pulse in self._newest.values())

    def _seconds(self) -> float:
        return max(pulse.seconds for pulse in self._newest.values())

    def _in_flight(self) -> tuple[Floats, Ints]:
        pairs = np.array(self._samples, np.float64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1].astype(np.int64)
