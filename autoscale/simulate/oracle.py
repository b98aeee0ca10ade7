"""The scaler that knows the rate of the future, and the fleet that is always large enough: what laws are held to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autoscale.simulate.fleet import Floats
from autoscale.simulate.traffic import Trace

TICK_SECONDS = 15.0
LATE_TICKS = 2


@dataclass(frozen=True, eq=False)
class Plan:
    """Replicas per tick, from time 0."""

    replicas: Floats

    def at(self, seconds: float) -> int:
        return int(self.replicas[min(int(seconds / TICK_SECONDS), len(self.replicas) - 1)])


def needed(trace: Trace, knees: Mapping[str, float], at: Floats) -> Floats:
    """Replicas, in fractions, that the trace's rates keep busy; `knees`: a replica's rate by workload."""
    total: Floats = np.sum([trace.rate(workload, at) / knees[workload] for workload in trace.rates], axis=0)
    return total


def foreseen(trace: Trace, knees: Mapping[str, float], cold_start_seconds: float) -> Plan:
    """As many replicas as the highest rate needs that comes before a replica ordered a little later would serve."""
    ticks = np.arange(math.ceil(trace.seconds / TICK_SECONDS) + 1) * TICK_SECONDS
    ahead = math.ceil(cold_start_seconds / TICK_SECONDS) + LATE_TICKS
    need = needed(trace, knees, np.concatenate([ticks, ticks[-1] + TICK_SECONDS * np.arange(1, ahead + 1)]))
    highest = np.lib.stride_tricks.sliding_window_view(need, ahead + 1).max(axis=1)
    return Plan(np.maximum(1.0, np.ceil(highest - 1e-9)))


def peak(trace: Trace, knees: Mapping[str, float]) -> Plan:
    """The replicas of the highest rate, all the time."""
    seconds = np.arange(trace.seconds + 1, dtype=np.float64)
    return Plan(np.array([max(1.0, math.ceil(float(needed(trace, knees, seconds).max()) - 1e-9))]))
