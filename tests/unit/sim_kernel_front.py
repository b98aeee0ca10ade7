"""The front and its replicas, slow and plain, for what the kernel is held against; it shares no code with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.simulate.fleet import Requests, Results
from autoscale.simulate.kernel import FrontModel
from tests.unit.sim_kernel_engine import Engine, Job


@dataclass(frozen=True)
class Act:
    """What is done to a fleet at a time: `add`, `drain` or `fail` so many."""

    at: float
    name: str
    count: int


class SlowFleet:
    """One step at a time; replicas stand in rows, of which the lowest free one is taken."""

    def __init__(self, profile: EngineProfile, requests: Requests, front: FrontModel, seed: int) -> None:
        self.profile, self.front = profile, front
        self.jobs = [
            Job(number, *fields) for number, fields in enumerate(zip(*(c.tolist() for c in requests), strict=True))
        ]
        self.due, self.held = list(self.jobs), list[Job]()
        self.rows, self.homes = list[Engine | None](), dict[int, Engine]()
        self.random, self.now = np.random.default_rng(seed), 0.0

    def ready(self) -> list[Engine]:
        return [engine for engine in self.rows if engine and not engine.draining]

    def advance(self, until: float) -> None:
        while True:
            engine = min((one for one in self.rows if one), key=lambda one: one.end, default=None)
            end = engine.end if engine else math.inf
            expiry = self.held[0].held_since + self.front.hold_seconds if self.held else math.inf
            arrival = self.due[0].at if self.due else math.inf
            self.now = min(end, expiry, arrival)
            if self.now > until:
                break
            if engine and end <= expiry and end <= arrival:
                engine.step()
                engine.begin(self.now)
                self.clear()
            elif expiry <= arrival:
                self.held.pop(0).rejected = True
            else:
                self.send(self.due.pop(0), shedding=True)
        self.now = until

    def send(self, job: Job, shedding: bool = False) -> None:
        ready = self.ready()
        if not ready:
            job.held_since = self.now
            job.rejected = len(self.held) >= self.front.max_queue
            self.held += [] if job.rejected else [job]
            return
        chosen = min(ready, key=lambda one: one.in_flight)
        home = self.homes.get(job.group)
        if home in ready and home and home.in_flight <= chosen.in_flight + self.front.affinity >= 0:
            chosen = home if self.front.affinity >= 0 else chosen
        if shedding and chosen.backlog() / self.front.prefill_tokens_per_second > self.front.shed_wait_seconds:
            job.rejected = True
            return
        if job.group >= 0:
            self.homes[job.group] = chosen
        chosen.offer(job, self.now)

    def act(self, name: str, count: int) -> None:
        getattr(self, name)(count)

    def add(self, count: int) -> None:
        for _ in range(count):
            row = self.rows.index(None) if None in self.rows else len(self.rows)
            self.rows[row : row + 1] = [Engine(self.profile)]
        while self.held and self.ready():
            self.send(self.held.pop(0))

    def drain(self, count: int) -> None:
        for engine in sorted(self.ready(), key=lambda one: one.in_flight)[:count]:
            engine.draining = True
        self.clear()

    def fail(self, count: int) -> None:
        there = [row for row, engine in enumerate(self.rows) if engine]
        rows = self.random.choice(np.array(there, np.int64), min(count, len(there)), replace=False)
        dead = [engine for row in rows if (engine := self.rows[row])]
        for engine in dead:
            engine.draining, engine.end = True, math.inf
        for engine in dead:
            lost = [*engine.running, *engine.waiting]
            engine.running, engine.waiting, engine.cache = [], [], []
            for job in lost:
                job.hit, job.left, job.prefilling = 0, 0, False
                self.send(job)
            self.clear()

    def clear(self) -> None:
        """Drained replicas that have nothing left are gone."""
        for row, engine in enumerate(self.rows):
            if engine and engine.draining and not engine.in_flight:
                self.rows[row] = None

    def results(self) -> Results:
        done = [job.output > 1 and not math.isnan(job.last) for job in self.jobs]
        tpot = [
            (job.last - job.first) / (job.output - 1) if ended else math.nan
            for job, ended in zip(self.jobs, done, strict=True)
        ]
        ttft = [job.first - job.at for job in self.jobs]
        return Results(np.array(ttft), np.array(tpot), np.array([job.rejected for job in self.jobs], bool))
