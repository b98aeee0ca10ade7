"""A load test that was never run: rows and a Result that agree, from an assumed queue with a knee; it opens no socket.

Rows are drawn in whole arrays, so that a million takes seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadtest.plan import Plan, SearchPlan, Target, TrafficClass, Workload
from loadtest.records import ROW, Rows, joined
from loadtest.results import (
    ClientCheck,
    Cost,
    CrossCheck,
    Floor,
    Interval,
    Paired,
    ProbeResult,
    Reconciled,
    Result,
    Series,
)
from loadtest.slo import Fault
from loadtest.verdict.goodput import blocks, estimate
from loadtest.verdict.probe_result import Offered, judge

BEGAN_UNIX = 1_764_000_000.0
_FACTORS = (0.25, 0.5, 1.0, 1.5, 1.25, 1.1, 0.9, 0.95, 1.02, 0.98)


@dataclass(frozen=True)
class World:
    """What the servers are like. The knee is the rate at which a queue begins to grow, requests per second."""

    requests: int = 4000
    targets: int = 1
    knee: float = 4.0
    classes: tuple[TrafficClass, ...] = (TrafficClass(),)
    seed: int = 1

    def plan(self) -> Plan:
        """The plan that such a run had."""
        names = ("plain-vllm", "tidegate")[-self.targets :]
        return Plan(
            kind="ab" if self.targets == 2 else "goodput",
            targets=tuple(Target(name=name, base_url=f"http://{name}:8000/v1", model="tiny") for name in names),
            workload=Workload(classes=self.classes),
            search=SearchPlan(),
            probe_seconds=self.probe_seconds(),
            warmup_seconds=min(5.0, self.probe_seconds() / 5),
            seed=self.seed,
        )

    def probe_seconds(self) -> float:
        """So long that all probes hold `requests`."""
        return self.requests / (self.targets * self.knee * sum(_FACTORS))


def run(world: World | None = None) -> tuple[Result, Rows]:
    """The result of a search over such servers, and every request of it."""
    world = world or World()
    plan, random = world.plan(), np.random.default_rng(world.seed)
    parts: list[Rows] = []
    offered: list[Offered] = []
    clock = BEGAN_UNIX
    for factor in _FACTORS:
        for target in range(world.targets):
            early = "in flight grew for 20 s" if factor >= 1.5 else ""
            offered.append(
                Offered(
                    len(offered), target, factor * world.knee, plan.warmup_seconds, plan.probe_seconds, early, clock
                )
            )
            parts.append(_rows(world, random, offered[-1], factor))
            clock += plan.probe_seconds + 6
    return _result(plan, world, list(zip(offered, parts, strict=True)), clock - BEGAN_UNIX), joined(parts)


def _rows(world: World, random: np.random.Generator, offered: Offered, factor: float) -> Rows:
    seconds = offered.seconds
    count = max(3, round(offered.rate * seconds))
    found = np.zeros(count, ROW)
    found["probe"], found["target"] = offered.number, offered.target
    found["slo"] = random.integers(0, len(world.classes), count)
    found["session"] = np.arange(count)
    found["status"] = 200
    found["scheduled"] = np.sort(random.uniform(0, seconds, count))
    found["sent"] = found["scheduled"] + random.exponential(0.0004, count)
    prompt = np.clip(random.lognormal(math.log(757), 0.9, count), 4, 4142)
    output = np.clip(random.lognormal(math.log(151), 0.8, count), 1, 601).astype(int)
    load = min(factor * (0.97 if offered.target else 1.0), 0.95)
    queued = random.exponential(0.008 / (1 - load), count) + np.minimum(max(factor - 1, 0) * found["scheduled"], 12)
    found["first"] = found["sent"] + 0.03 + prompt * 7e-5 + queued
    pace = 0.018 * (1 + 0.9 * load**3) * random.lognormal(0, 0.16, count)
    found["last"] = found["first"] + np.maximum(output - 1, 0) * pace
    found["ended"] = found["last"] + 0.001
    found["stall"] = pace * random.uniform(1.5, 6, count)
    found["prompt_tokens"], found["output_tokens"] = prompt, output
    found["cached_tokens"] = (prompt * random.choice([0.0, 0.5], count)).astype(int)
    found["first_tokens"], found["chunks"] = 1, output
    return _faults(found, random, max(0.001, (factor - 1) * 0.12))


def _faults(found: Rows, random: np.random.Generator, share: float) -> Rows:
    struck = random.uniform(size=len(found)) < share
    kinds = random.choice([Fault.ERROR, Fault.TIMEOUT, Fault.SHED], len(found), p=[0.2, 0.2, 0.6])
    waits = {Fault.ERROR: 0.2, Fault.TIMEOUT: 10.5, Fault.SHED: 0.005}
    words = {Fault.ERROR: (502, b"http_502"), Fault.TIMEOUT: (0, b"no_first_token"), Fault.SHED: (429, b"shed")}
    for kind, wait in waits.items():
        hit = struck & (kinds == kind)
        found["fault"][hit] = kind
        found["status"][hit], found["detail"][hit] = words[kind]
        found["first"][hit] = found["last"][hit] = np.nan
        found["ended"][hit] = found["sent"][hit] + wait
        for name in ("output_tokens", "prompt_tokens", "cached_tokens"):
            found[name][hit] = -1
        found["chunks"][hit] = 0
    return found


def _result(plan: Plan, world: World, parts: list[tuple[Offered, Rows]], seconds: float) -> Result:
    slos, client = plan.slos(), ClientCheck(0.0021, 0.0017, 0.41, 3, 0)
    probes = [judge(found, offered, slos, plan.search.quantiles, client) for offered, found in parts]
    counted = {offered.number: blocks(found, offered, slos) for offered, found in parts}
    floor = Floor(0, ((16, 0.032), (512, 0.079), (2048, 0.212), (4096, 0.405)), 0.031, 9.1e-5, 0.019, {"chat": 0.004})
    entries = (
        Reconciled("requests at the front", float(world.requests), float(world.requests), True),
        Reconciled("TTFT p50 at the engine", 0.131, 0.118, True, "13 ms of network and queue"),
    )
    return Result(
        plan=plan.model_dump(mode="json"),
        began="2025-11-24T16:00:00+00:00",
        seconds=seconds,
        machine={"cpu": "EPYC, 2 cores", "python": "3.11.2", "engine": "vLLM 0.32.0 on CPU"},
        floors=(floor,),
        probes=tuple(probes),
        goodputs=tuple(
            estimate(probes, counted, quantile, target)
            for target in range(world.targets)
            for quantile in plan.search.quantiles
        ),
        crosscheck=CrossCheck(True, entries),
        series=_series(plan, probes, seconds),
        cost=Cost(seconds * 2, seconds * 2 / 3600, 0.93),
        paired=_paired() if world.targets == 2 else None,
        checks=(),
        notes=("The engine runs on CPU: figures compare with each other, not with GPUs.",),
    )


def _series(plan: Plan, probes: list[ProbeResult], seconds: float) -> Series:
    times = np.linspace(0, seconds, 400)
    into = times % (plan.probe_seconds + 6)
    number = np.minimum(times // (plan.probe_seconds + 6), len(probes) - 1).astype(int)
    rate = (
        4 * np.array([probes[n].offered_rate for n in number]) / probes[-1].offered_rate * (into < plan.probe_seconds)
    )
    running = rate * 3
    waiting = np.maximum(rate / 4 - 1, 0) * 4 * np.minimum(into, 60) * 0.7
    usage: list[float | None] = np.clip(0.1 + running / 30, 0, 1).tolist()
    usage[100:120] = [None] * 20
    return Series(
        tuple((BEGAN_UNIX + times).tolist()),
        {
            "replicas": tuple(np.where(times > seconds * 0.6, 2.0, 1.0).tolist()),
            "running": tuple(running.tolist()),
            "waiting": tuple(waiting.tolist()),
            "kv_usage": tuple(usage),
        },
    )


def _paired() -> Paired:
    return Paired(
        rate=3.0,
        pairs=412,
        ttft_p50_ratio=Interval(1.012, 0.998, 1.027),
        ttft_p99_ratio=Interval(0.94, 0.86, 1.05),
        tpot_p50_ratio=Interval(1.001, 0.996, 1.006),
        attainment_difference=Interval(0.004, -0.002, 0.011),
        goodput_ratio=Interval(1.03, 0.99, 1.08),
    )
