"""A load test that was never run: rows and a Result that agree, from an assumed queue with a knee; it opens no socket.

Rows are drawn in whole arrays, so that a million takes seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.plan import Plan, SearchPlan, Target, TrafficClass, Workload
from loadtest.records import ROW, Rows
from loadtest.results import (
    ClassResult,
    ClientCheck,
    Cost,
    CrossCheck,
    Floor,
    Goodput,
    Interval,
    Paired,
    ProbeResult,
    Reconciled,
    Result,
    Series,
    Spread,
)
from loadtest.slo import Fault, Outcome, Slo
from loadtest.verdict import measures

BEGAN_UNIX = 1_764_000_000.0
_FIRST_RATES = (0.25, 0.5, 1.0, 1.5, 1.25, 1.1, 0.9, 0.95, 1.02, 0.98)


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
            seed=self.seed,
        )

    def probe_seconds(self) -> float:
        """So long that all probes hold `requests`."""
        return self.requests / (self.targets * self.knee * sum(_FIRST_RATES)) + 0.001


def run(world: World | None = None) -> tuple[Result, Rows]:
    """The result of a search over such servers, and every request of it."""
    world = world or World()
    plan, random = world.plan(), np.random.default_rng(world.seed)
    parts: list[Rows] = []
    probes: list[ProbeResult] = []
    clock = BEGAN_UNIX
    for number, factor in enumerate(_FIRST_RATES):
        for target in range(world.targets):
            found = _rows(world, random, (number, target), factor)
            parts.append(found)
            probes.append(_probe(plan, found, (number, target), (factor * world.knee, clock)))
            clock += plan.probe_seconds + 6
    return _result(plan, world, tuple(probes), clock - BEGAN_UNIX), np.concatenate(parts)


def _rows(world: World, random: np.random.Generator, key: tuple[int, int], factor: float) -> Rows:
    seconds, rate = world.probe_seconds(), factor * world.knee
    count = max(3, round(rate * seconds))
    found = np.zeros(count, ROW)
    found["probe"], found["target"] = key
    found["slo"] = random.integers(0, len(world.classes), count)
    found["session"] = np.arange(count)
    found["status"] = 200
    found["scheduled"] = np.sort(random.uniform(0, seconds, count))
    found["sent"] = found["scheduled"] + random.exponential(0.0004, count)
    prompt = np.clip(random.lognormal(math.log(757), 0.9, count), 4, 4142)
    output = np.clip(random.lognormal(math.log(151), 0.8, count), 1, 601).astype(int)
    load = min(factor * (0.97 if key[1] else 1.0), 0.95)
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


def _probe(plan: Plan, found: Rows, key: tuple[int, int], at: tuple[float, float]) -> ProbeResult:
    rate, began = at
    warmup = min(plan.warmup_seconds, plan.probe_seconds / 2)
    window = plan.probe_seconds - warmup
    inside = found[found["scheduled"] >= warmup]
    codes = measures.outcomes(inside, plan.slos())
    held = attainment(codes)
    good = int((codes == Outcome.GOOD).sum())
    tokens = inside["output_tokens"]
    return ProbeResult(
        number=key[0],
        target=key[1],
        offered_rate=rate,
        scheduled_rate=len(inside) / window,
        window_seconds=window,
        outcomes=counts(codes),
        attainment=held,
        good_rate=good / window,
        ttft=spread(measures.ttft(inside)),
        ttft_net=spread(measures.ttft_net(inside)),
        tpot=spread(measures.tpot(inside)),
        e2e=spread(measures.e2e(inside)),
        stall=spread(inside["stall"]),
        undefined_tpot=int((np.isnan(measures.tpot(inside)) & ~np.isnan(inside["first"])).sum()),
        output_tokens=int(tokens[tokens > 0].sum()),
        classes=tuple(_class(slo, codes[inside["slo"] == n]) for n, slo in enumerate(plan.slos())),
        client=ClientCheck(0.0021, 0.0017, 0.41, 3, 0),
        verdicts={f"{q:.2f}": _verdict(held, q) for q in plan.search.quantiles},
        ended_early="in flight grew for 20 s" if rate > 5.5 else "",
        began_unix=began,
        seconds=plan.probe_seconds + 4,
    )


def _class(slo: Slo, codes: measures.Codes) -> ClassResult:
    return ClassResult(slo.name, attainment(codes), counts(codes))


def _verdict(held: Interval, quantile: float) -> str:
    return "pass" if held.low >= quantile else "fail" if held.high < quantile else "undecided"


def counts(codes: measures.Codes) -> dict[str, int]:
    """By outcome's name, those that are there."""
    return {item.name.lower(): int((codes == item).sum()) for item in Outcome if (codes == item).any()}


def attainment(codes: measures.Codes) -> Interval:
    """Good over all but those cut, with its Wilson interval."""
    counted, good = int((codes != Outcome.CUT).sum()), int((codes == Outcome.GOOD).sum())
    if not counted:
        return Interval(math.nan, math.nan, math.nan)
    share, z2 = good / counted, 1.96**2
    middle = (share + z2 / (2 * counted)) / (1 + z2 / counted)
    half = 1.96 * math.sqrt(share * (1 - share) / counted + z2 / (4 * counted**2)) / (1 + z2 / counted)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def spread(values: npt.NDArray[np.float64]) -> Spread:
    """Quantiles of what is a number."""
    there = values[np.isfinite(values)]
    if not len(there):
        return Spread(0, *[math.nan] * 6)
    quantiles = np.quantile(there, [0.5, 0.9, 0.95, 0.99, 1]).tolist()
    return Spread(len(there), float(there.mean()), *quantiles)


def _result(plan: Plan, world: World, probes: tuple[ProbeResult, ...], seconds: float) -> Result:
    goodputs = [_goodput(plan, probes, target, q) for target in range(world.targets) for q in plan.search.quantiles]
    floor = Floor(0, ((16, 0.032), (512, 0.079), (2048, 0.212), (4096, 0.405)), 0.031, 9.1e-5, 0.019, {"chat": 0.004})
    entries = (
        Reconciled("requests at the front", world.requests, world.requests, True),
        Reconciled("TTFT p50 at the engine", 0.131, 0.118, True, "13 ms of network and queue"),
    )
    return Result(
        plan=plan.model_dump(mode="json"),
        began="2025-11-24T16:00:00+00:00",
        seconds=seconds,
        machine={"cpu": "EPYC, 2 cores", "python": "3.11.2", "engine": "vLLM 0.32.0 on CPU"},
        floors=(floor,),
        probes=probes,
        goodputs=tuple(goodputs),
        crosscheck=CrossCheck(True, entries),
        series=_series(plan, probes, seconds),
        cost=Cost(seconds * 2, seconds * 2 / 3600, 0.93),
        paired=_paired() if world.targets == 2 else None,
        checks=(),
        notes=("The engine runs on CPU: figures compare with each other, not with GPUs.",),
    )


def _goodput(plan: Plan, probes: tuple[ProbeResult, ...], target: int, quantile: float) -> Goodput:
    own = [probe for probe in probes if probe.target == target]
    passed = max((p.offered_rate for p in own if p.attainment.value >= quantile), default=0.0)
    failed = min((p.offered_rate for p in own if p.offered_rate > passed), default=None)
    top = failed or passed
    value = (passed + top) / 2 if passed else 0.0
    return Goodput(target, quantile, Interval(value, passed * 0.97, top), passed, failed, len(own), value)


def _series(plan: Plan, probes: tuple[ProbeResult, ...], seconds: float) -> Series:
    times = np.linspace(0, seconds, 400)
    into = times % (plan.probe_seconds + 6)
    number = np.minimum(times // (plan.probe_seconds + 6), len(probes) - 1).astype(int)
    rate = np.array([probes[n].offered_rate for n in number]) * (into < plan.probe_seconds)
    running = rate * 3
    waiting = np.maximum(rate - 4, 0) * into * 0.7
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
