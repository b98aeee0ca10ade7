"""The result of a run as values: what conductor and verdicts give and reports read; `result.json` is this tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Quantiles of one measure, seconds (NaN where there are no values)."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class ClientCheck:
    """Whether the client kept up. Any sentence in `reasons` withholds the verdict."""

    send_lag_p99_seconds: float
    loop_lag_p99_seconds: float
    cpu_share: float
    """Of one core, the busiest process."""
    late: int
    """Requests sent more than 5 ms after their time."""
    dropped: int
    """Arrivals for which no user was free in time: never sent."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassResult:
    """One traffic class within a probe."""

    slo: str
    attainment: Interval
    outcomes: dict[str, int]


@dataclass(frozen=True)
class ProbeResult:
    """One rate, offered for a while, and what became of it. Warm-up arrivals are in no figure."""

    number: int
    target: int
    offered_rate: float
    """Requests per second that the plan asked for."""
    scheduled_rate: float
    """What its seeded schedule held within the window."""
    window_seconds: float
    outcomes: dict[str, int]
    attainment: Interval
    good_rate: float
    """Good requests per second of the window."""
    ttft: Spread
    ttft_net: Spread
    tpot: Spread
    e2e: Spread
    stall: Spread
    undefined_tpot: int
    """Answers of one chunk or without usage: judged on TTFT alone."""
    output_tokens: int
    classes: tuple[ClassResult, ...]
    client: ClientCheck
    verdicts: dict[str, str]
    """By quantile ("0.95"): pass, fail or undecided."""
    ended_early: str = ""
    """Why, in words; empty when it ran its whole time."""
    began_unix: float = 0.0
    seconds: float = 0.0
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of ttft, tpot and e2e, as `verdict.histogram` writes them: those of several runs can be added up."""


@dataclass(frozen=True)
class Goodput:
    """The highest offered rate with attainment of at least `quantile`, requests per second."""

    target: int
    quantile: float
    rate: Interval
    passed_rate: float
    """Highest rate of a probe that passed; 0 when none did."""
    failed_rate: float | None
    """Lowest rate of a probe that failed above it; None when none did: the goodput is a lower bound."""
    probes: int
    per_gpu: float | None = None
    withheld: str = ""
    """Why there is no verdict; empty when there is."""


@dataclass(frozen=True)
class Floor:
    """Idle TTFT by prompt length: seconds = base + per_token * prompt_tokens; which share can never pass."""

    target: int
    points: tuple[tuple[int, float], ...]
    base_seconds: float
    per_token_seconds: float
    tpot_seconds: float
    infeasible_share: dict[str, float]
    """By SLO name."""


@dataclass(frozen=True)
class Reconciled:
    """One comparison of what the client and a server counted."""

    what: str
    client: float
    server: float
    holds: bool
    note: str = ""


@dataclass(frozen=True)
class CrossCheck:
    """All comparisons of a run; `checked` is False where no server could be scraped."""

    checked: bool
    entries: tuple[Reconciled, ...] = ()
    note: str = ""

    @property
    def holds(self) -> bool:
        """No comparison failed."""
        return all(entry.holds for entry in self.entries)


@dataclass(frozen=True)
class Series:
    """Samples of the servers over the run: `unix` and every list of `values` have one length; None: not scraped."""

    unix: tuple[float, ...] = ()
    values: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    """By name: replicas, running, waiting, kv_usage, front_in_flight."""


@dataclass(frozen=True)
class Cost:
    """What was paid for: replicas over time."""

    replica_seconds: float
    gpu_hours: float
    good_per_gpu_second: float


@dataclass(frozen=True)
class Paired:
    """A against B over the same seeded schedule, interleaved: B over A, by blocks."""

    rate: float
    pairs: int
    ttft_p50_ratio: Interval
    ttft_p99_ratio: Interval
    tpot_p50_ratio: Interval
    attainment_difference: Interval
    """B less A."""
    goodput_ratio: Interval | None = None


@dataclass(frozen=True)
class Check:
    """One thing that the gate asked for."""

    name: str
    holds: bool
    message: str


@dataclass(frozen=True)
class Result:
    """One run."""

    plan: dict[str, Any]
    """Without keys."""
    began: str
    """ISO 8601, UTC."""
    seconds: float
    machine: dict[str, str]
    floors: tuple[Floor, ...]
    probes: tuple[ProbeResult, ...]
    goodputs: tuple[Goodput, ...]
    crosscheck: CrossCheck
    series: Series
    cost: Cost | None
    paired: Paired | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    broken: str = ""
    """Why the run could not be finished, in words; empty when it was."""
    version: int = 1
