"""Measures whether this process keeps up: event-loop lag and CPU share; it judges neither and sends nothing."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import gevent
import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]
"""Shape (len(EDGES_SECONDS) + 1,): how many lags lie below each edge and not below the one before; the last: above."""

EDGES_SECONDS = np.geomspace(1e-5, 10.0, 121)
"""12 % from one to the next: fixed, so that the counts of all workers and pulses add up."""
_PERIOD_SECONDS = 0.01
_PRIORITY = 1

Clock: TypeAlias = Callable[[], float]


def no_lags() -> Counts:
    """The counts of nothing."""
    return np.zeros(len(EDGES_SECONDS) + 1, np.int64)


def lag_quantile(counts: Counts, q: float) -> float:
    """Seconds, at most one edge too high; NaN without counts, infinite above the last edge."""
    total = int(counts.sum())
    if not total:
        return float("nan")
    place = int(np.searchsorted(np.cumsum(counts), q * total))
    return float(EDGES_SECONDS[place]) if place < len(EDGES_SECONDS) else float("inf")


def raise_priority() -> bool:
    """Put this process before others of the machine. False where the system does not let it.

    Real-time, because niceness counts within a session only where the kernel groups processes by session, and the
    engine of the same machine is another one's. What this process starts is not real-time.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except OSError:
        return False
    return True


def settle_memory() -> None:
    """Take all that lives now out of the collector's sight, so that its pauses within a probe are short."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class SelfCheck:
    """Runs from `start` to `stop`: a greenlet sleeps 10 ms over and over, and what comes on top is lag."""

    def __init__(self, clock: Clock = time.perf_counter, cpu_clock: Clock = time.process_time) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._lags: list[float] = []
        self._began, self._cpu_began = clock(), cpu_clock()
        self._greenlet: Any = None

    def start(self) -> None:
        """Begin anew: earlier lags are forgotten."""
        self.stop()
        self._lags = []
        self._began, self._cpu_began = self._clock(), self._cpu_clock()
        self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Idempotent."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def take_lags(self) -> Counts:
        """The lags since they were taken last."""
        lags, self._lags = self._lags, []
        return np.bincount(
            np.searchsorted(EDGES_SECONDS, np.array(lags, float), side="right"), minlength=len(EDGES_SECONDS) + 1
        ).astype(np.int64)

    def cpu_share(self) -> float:
        """CPU seconds per second of one core since the start."""
        wall = self._clock() - self._began
        return (self._cpu_clock() - self._cpu_began) / wall if wall > 0 else 0.0

    def _watch(self) -> None:
        while True:
            before = self._clock()
            gevent.sleep(_PERIOD_SECONDS)
            self._lags.append(max(0.0, self._clock() - before - _PERIOD_SECONDS))
