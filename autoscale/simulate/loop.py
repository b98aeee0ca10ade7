"""The control loop's clock: who scrapes, polls, syncs and when, how late each is; what they decide is the law's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from autoscale.simulate.fleet import Fleet, Sample
from autoscale.simulate.laws.law import Decision, Law
from autoscale.simulate.prometheus import Prometheus, counted, exposed
from autoscale.simulate.prometheus_eval import instant
from autoscale.simulate.world import Pods, World


@dataclass(frozen=True)
class LoopSettings:
    """Periods in seconds, and when Prometheus is away."""

    scrape_seconds: float = 5.0
    scrape_jitter_seconds: float = 0.2
    sync_seconds: float = 15.0
    sync_jitter_seconds: float = 0.3
    outages: tuple[tuple[float, float], ...] = ()
    """From and until, seconds."""

    def __post_init__(self) -> None:
        for name in ("scrape_seconds", "sync_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name):g} must be above 0")
        if self.scrape_jitter_seconds >= self.scrape_seconds or self.sync_jitter_seconds >= self.sync_seconds:
            raise ValueError("a jitter must be shorter than its period")


class Step(NamedTuple):
    """One sync of the HPA: what there was, and what was decided."""

    at: float
    pods: Pods
    decision: Decision
    waiting: int
    gpu_seconds: float


@dataclass
class Loop:
    """One run. Owns the clock."""

    world: World
    fleet: Fleet
    law: Law
    settings: LoopSettings
    rng: np.random.Generator
    model: str = "simulated"
    steps: list[Step] = field(default_factory=list)
    _prometheus: Prometheus = field(default_factory=Prometheus)
    _waiting: int = 0
    _now: float = 0.0

    def run(self, seconds: float) -> list[Step]:
        """All steps until then. Of what is due at one time, the scrape comes first and the sync last."""
        settings = self.settings
        periods = (settings.scrape_seconds, self.law.poll_seconds, settings.sync_seconds)
        jitters = (settings.scrape_jitter_seconds, 0.0, settings.sync_jitter_seconds)
        actions = (self._scrape, self._poll, self._sync)
        turns = [float(self.rng.uniform(0, period)) for period in periods]
        due = list(turns)
        while min(due) < seconds:
            which = due.index(min(due))
            self._now = max(self._now, due[which])
            self.world.advance(self._now)
            actions[which](self._now)
            turns[which] += periods[which]
            due[which] = turns[which] + jitters[which] * self.rng.random()
        self.world.advance(seconds)
        return self.steps

    def _scrape(self, now: float) -> None:
        self._prometheus.reachable = self._up(now)
        sample: Sample = self.fleet.sample()
        self._waiting = sample.waiting
        self._prometheus.scrape(now, exposed(sample, self.model) | counted(self.world.pods()))

    def _poll(self, now: float) -> None:
        wanted = self.law.poll(now, self.world.pods(), lambda query: self._ask(query, now))
        if wanted is not None:
            self.world.scale(wanted)

    def _sync(self, now: float) -> None:
        pods = self.world.pods()
        decision = self.law.sync(now, pods, lambda query: self._ask(query, now))
        if decision.replicas is not None:
            self.world.scale(decision.replicas)
        self.steps.append(Step(now, pods, decision, self._waiting, self.world.gpu_seconds))

    def _ask(self, query: str, now: float) -> list[float]:
        self._prometheus.reachable = self._up(now)
        return instant(self._prometheus, query, now)

    def _up(self, now: float) -> bool:
        return not any(begin <= now < end for begin, end in self.settings.outages)
