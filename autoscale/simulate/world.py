"""The cluster under a scaled workload: pods that wait for a GPU, start, serve, drain and die, and what they cost.

It is Deployment controller, scheduler and nodes in one. How many replicas there should be is told to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from autoscale.simulate.fleet import Fleet
from autoscale.simulate.startup import ColdStart


@dataclass(frozen=True)
class ClusterSettings:
    """What the simulated cluster is like."""

    cold_start: ColdStart = field(default_factory=ColdStart)
    max_gpus: int = 1000
    """Replicas that find a GPU, draining ones included; a replica has one."""
    failures_per_replica_hour: float = 0.0

    def __post_init__(self) -> None:
        if self.max_gpus < 1:
            raise ValueError(f"max_gpus: {self.max_gpus}: at least 1")
        if self.failures_per_replica_hour < 0:
            raise ValueError(f"failures_per_replica_hour: {self.failures_per_replica_hour:g}: not below 0")


class Pods(NamedTuple):
    """How many there are: as the scale subresource and a node list show it."""

    wanted: int
    pending: int
    starting: int
    ready: int

    @property
    def existing(self) -> int:
        """`status.replicas`: draining pods count no more."""
        return self.pending + self.starting + self.ready


class World:
    """Owns the pods of one run. Times in seconds never go back."""

    def __init__(self, fleet: Fleet, settings: ClusterSettings, ready: int, rng: np.random.Generator) -> None:
        self._fleet, self._settings, self._rng = fleet, settings, rng
        self._now = 0.0
        self._wanted = self._ready = min(ready, settings.max_gpus)
        self._pending = 0
        self._starting: list[float] = []
        self.gpu_seconds = 0.0
        self.died = 0
        fleet.add(self._ready)

    def pods(self) -> Pods:
        return Pods(self._wanted, self._pending, len(self._starting), self._ready)

    def scale(self, replicas: int) -> None:
        """As a write to the scale subresource: pods that do not serve yet go first, then the emptiest."""
        self._wanted = replicas
        self._reconcile()

    def advance(self, until: float) -> None:
        """Go on to this time; engines become ready on the way, some die."""
        while self._starting and self._starting[0] <= until:
            ready_at = self._starting[0]
            self._pass(ready_at)
            self._starting.pop(0)
            self._fleet.add(1)
            self._ready += 1
        self._pass(until)
        self._reconcile()

    def _pass(self, until: float) -> None:
        elapsed = until - self._now
        self.gpu_seconds += elapsed * self._taken()
        self._fleet.advance(until)
        self._now = until
        rate = self._settings.failures_per_replica_hour
        if rate and self._ready and elapsed > 0:
            died = int(self._rng.binomial(self._ready, -np.expm1(-rate * elapsed / 3600)))
            self._fleet.fail(died)
            self._ready = self._fleet.sample().ready
            self.died += died

    def _reconcile(self) -> None:
        missing = self._wanted - self.pods().existing
        if missing < 0:
            self._remove(-missing)
        else:
            self._pending += missing
        placed = max(0, min(self._pending, self._settings.max_gpus - self._taken()))
        self._pending -= placed
        cold_start = self._settings.cold_start
        begun = [self._now + cold_start.draw(self._rng) for _ in range(placed)]
        self._starting = sorted(self._starting + begun)

    def _remove(self, count: int) -> None:
        cancelled = min(count, self._pending)
        self._pending -= cancelled
        stopped = min(count - cancelled, len(self._starting))
        self._starting = self._starting[: len(self._starting) - stopped]
        drained = count - cancelled - stopped
        if drained:
            self._fleet.drain(drained)
            self._ready -= drained

    def _taken(self) -> int:
        return len(self._starting) + self._fleet.busy_replicas()
