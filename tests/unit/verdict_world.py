"""A server made of numbers: c places, a queue before them, and the rows that a perfect client would have written."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadtest.plan import SearchPlan
from loadtest.records import ROW, Rows
from loadtest.results import ClientCheck, Goodput, ProbeResult
from loadtest.slo import Fault, Slo
from loadtest.verdict.backlog import grows
from loadtest.verdict.goodput import Blocks, blocks, estimate
from loadtest.verdict.measures import Floats
from loadtest.verdict.probe_result import Offered, judge
from loadtest.verdict.search import Search

CHAT = Slo("chat", 0.5, 0.05)
WELL = ClientCheck(0.001, 0.001, 0.3, 0, 0)
QUANTILES = (0.9, 0.95, 0.99)


def answered(count: int, **columns: object) -> Rows:
    """`count` good answers, one a second from 0: TTFT 0.1 s, 11 tokens at 0.01 s. Columns replace."""
    made = np.zeros(count, ROW)
    made["session"] = np.arange(count)
    made["scheduled"] = made["sent"] = np.arange(count, dtype=float)
    made["first_tokens"], made["output_tokens"], made["chunks"] = 1, 11, 11
    for name, values in columns.items():
        made[name] = values
    shifts = {"first": made["scheduled"] + 0.1, "last": made["scheduled"] + 0.2, "ended": made["scheduled"] + 0.2}
    for name, values in shifts.items():
        if name not in columns:
            made[name] = values
    return made


@dataclass(frozen=True)
class Queue:
    """Places that serve first come, first served. A request's first token comes 0.05 s after it got its place."""

    places: int
    service_seconds: float
    random: bool = True

    @property
    def capacity(self) -> float:
        return self.places / self.service_seconds

    def missed(self, rate: float, limit_seconds: float = 0.45) -> float:
        """Long-run share of requests that wait longer than the limit (Erlang C)."""
        load = rate * self.service_seconds
        if load >= self.places:
            return 1.0
        top = load**self.places / math.factorial(self.places) * self.places / (self.places - load)
        waits = top / (sum(load**k / math.factorial(k) for k in range(self.places)) + top)
        return waits * math.exp(-(self.places - load) / self.service_seconds * limit_seconds)

    def goodput(self, quantile: float) -> float:
        low, high = 0.0, self.capacity
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.missed(middle) <= 1 - quantile else (low, middle)
        return low

    def serve(self, rng: np.random.Generator, rate: float, seconds: float) -> tuple[Floats, Floats, Floats]:
        """Poisson arrivals, and when each of them got its place and left it."""
        arrivals = np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))
        lengths = rng.exponential(self.service_seconds, len(arrivals))
        if not self.random:
            lengths[:] = self.service_seconds
        free, begins = [0.0] * self.places, np.empty(len(arrivals))
        for place, (at, length) in enumerate(zip(arrivals, lengths, strict=True)):
            begins[place] = max(at, heapq.heappop(free))
            heapq.heappush(free, begins[place] + length)
        return arrivals, begins, begins + lengths

    def run(self, rng: np.random.Generator, rate: float, number: int, seconds: float) -> tuple[Rows, Offered]:
        """One probe; it ends early as the conductor ends one."""
        arrivals, begins, ends = self.serve(rng, rate, seconds)
        warmup = seconds / 6
        early = fires(arrivals, ends, seconds, warmup, every=2.0)
        kept = arrivals < (early or seconds)
        arrivals, begins, ends = arrivals[kept], begins[kept], ends[kept]
        found = answered(len(arrivals), scheduled=arrivals, sent=arrivals, first=begins + 0.05, probe=number)
        found["last"] = found["ended"] = np.maximum(ends, begins + 0.05)
        found["output_tokens"] = 1000
        return found, Offered(number, 0, rate, warmup, early or seconds, "the backlog grew" if early else "")


def fires(
    arrivals: Floats, ends: Floats, seconds: float, settled_seconds: float, *, every: float = 0.5
) -> float | None:
    """When `grows` is first true, asked time and again about samples of every half second."""
    times = np.arange(0.5, seconds + 0.01, 0.5)
    counts = np.searchsorted(arrivals, times, "right") - np.searchsorted(np.sort(ends), times, "right")
    levels, step = counts.astype(np.float64), round(every / 0.5)
    asked = range(step, len(times) + 1, step)
    return next((float(times[k - 1]) for k in asked if grows(times[:k], levels[:k], settled_seconds)), None)


def searched(
    probe: Callable[[float, int], tuple[Rows, Offered]], start_rate: float, plan: SearchPlan
) -> tuple[list[ProbeResult], list[Goodput]]:
    """A whole search: its probes, and the goodput of each quantile."""
    search, probes, counts = Search(plan, start_rate), list[ProbeResult](), dict[int, Blocks]()
    while (rate := search.next_rate()) is not None:
        found, offered = probe(rate, len(probes))
        probes.append(judge(found, offered, [CHAT], plan.quantiles, WELL))
        counts[len(probes) - 1] = blocks(found, offered, [CHAT])
        search.add(probes[-1])
    return probes, [estimate(probes, counts, quantile, 0) for quantile in plan.quantiles]


def faulty(fault: Fault, count: int = 1) -> Rows:
    return answered(count, fault=fault, first=np.nan, last=np.nan, output_tokens=-1)
