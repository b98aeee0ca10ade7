"""What a run is to do, as one frozen tree that is checked before anything is sent; it knows no locust and no wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from loadtest.slo import PRESETS, Slo

Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Part(BaseModel):
    """Frozen, and closed: an unknown key is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Part):
    """An OpenAI-compatible server."""

    name: str = "server"
    base_url: str = Field(description="With /v1 where the server wants it.")
    model: str = ""
    api_key: SecretStr = SecretStr("")
    front_admin_url: str = Field("", description="A Tidegate front's admin port; its engines are found through it.")
    engine_urls: tuple[str, ...] = Field((), description="Origins of vLLM engines whose /metrics to read.")


class Lengths(Part):
    """Lognormal lengths in tokens, cut to [low, high]. `sigma` 0: always the median."""

    median: float = Field(gt=0)
    sigma: float = Field(0.0, ge=0)
    low: int = Field(1, ge=1)
    high: int = Field(1_000_000, ge=1)


class Turns(Part):
    """Turns of a session: `low` and a geometric rest with this mean, at most `high`; think times lognormal, seconds."""

    mean: float = Field(1.0, ge=1)
    low: int = Field(1, ge=1)
    high: int = Field(40, ge=1)
    think_median_seconds: float = Field(4.0, ge=0)
    think_sigma: float = Field(0.5, ge=0)


class TrafficClass(Part):
    """One kind of traffic: its SLO, its share of the sessions, its lengths."""

    slo: str = Field("chat", description="A preset's name; ttft_seconds and tpot_seconds below replace its limits.")
    ttft_seconds: Seconds | None = None
    tpot_seconds: Seconds | None = None
    weight: float = Field(1.0, gt=0)
    input: Lengths = Lengths(median=757, sigma=0.99, high=4142)
    output: Lengths = Lengths(median=151, sigma=0.86, high=601)
    opening: Lengths | None = Field(None, description="Input of a session's first turn; default: as input.")
    turns: Turns = Turns()
    prefix_tokens: int = Field(0, ge=0, description="Length of the shared prefixes (system prompts).")
    prefixes: int = Field(1, ge=1, description="How many different ones; they are drawn by Zipf.")
    stream: bool = True

    @model_validator(mode="after")
    def _known(self) -> TrafficClass:
        if self.slo not in PRESETS:
            raise ValueError(f"slo {self.slo!r} is none of {', '.join(PRESETS)}")
        return self

    def limits(self) -> Slo:
        """The SLO with this class's own limits in place."""
        preset = PRESETS[self.slo]
        return Slo(
            self.slo,
            self.ttft_seconds or preset.ttft_seconds,
            self.tpot_seconds or preset.tpot_seconds,
            preset.e2e_seconds,
        )


class Workload(Part):
    """What is asked. `history` says who keeps a conversation: the server by session id, or the client by resending."""

    classes: tuple[TrafficClass, ...] = Field((TrafficClass(),), min_length=1)
    history: Literal["client", "server"] = "client"
    prompts: Path | None = Field(None, description='JSONL of {"prompt": …} or {"messages": […]}; else synthetic text.')
    max_context_tokens: int | None = Field(None, gt=0, description="Cut to it; default: what the server's models say.")
    body: dict[str, Any] = Field(default_factory=dict, description="Further body fields, such as ignore_eos.")


class Arrivals(Part):
    """When sessions begin. Every kind has the mean rate that a probe asks for."""

    kind: Literal["poisson", "gamma", "diurnal", "bursts", "constant", "trace"] = "poisson"
    cv: float = Field(1.0, gt=0, description="gamma: coefficient of variation of the gaps; above 1 is bursty.")
    period_seconds: Seconds = Field(60.0, description="diurnal: its day; bursts: mean time from burst to burst.")
    peak_ratio: float = Field(3.0, ge=1, description="diurnal: peak over trough; bursts: burst over rest.")
    burst_seconds: Seconds = Field(10.0, description="bursts: mean length of one.")
    trace: Path | None = Field(None, description="trace: Azure CSV, Mooncake JSONL, or a front's request log.")
    speed: float = Field(1.0, gt=0, description="trace: 2 replays in half the time.")

    @model_validator(mode="after")
    def _complete(self) -> Arrivals:
        if (self.kind == "trace") != (self.trace is not None):
            raise ValueError("trace goes with kind: trace, and that kind needs it")
        return self


class SearchPlan(Part):
    """How goodput is looked for. Rates are requests per second."""

    start_rate: float | None = Field(None, gt=0, description="Default: from the idle latency.")
    max_probes: int = Field(15, ge=3)
    tolerance: float = Field(0.1, gt=0, lt=1, description="Upper over lower end of the bracket, less one.")
    quantiles: tuple[Share, ...] = (0.90, 0.95, 0.99)
    min_requests: int = Field(100, ge=0, description="A probe goes on past probe_seconds until it judged so many,")
    max_probe_seconds: Seconds = Field(120.0, description="but no longer than this.")


class Gate(Part):
    """What decides the exit status. None: not asked for."""

    quantile: Share = 0.95
    min_goodput: float | None = Field(None, ge=0)
    min_attainment: float | None = Field(None, ge=0, le=1)
    baseline: Path | None = Field(None, description="An earlier result.json.")
    max_regression: float = Field(0.1, ge=0, description="Loss of goodput against the baseline that still passes.")


class Plan(Part):
    """A whole run."""

    kind: Literal["goodput", "curve", "ab", "replay"] = "goodput"
    targets: tuple[Target, ...] = Field(min_length=1, max_length=2)
    workload: Workload = Workload()
    arrivals: Arrivals = Arrivals()
    search: SearchPlan = SearchPlan()
    rates: tuple[float, ...] = Field((), description="curve: the offered rates; ab: one rate instead of a search.")
    probe_seconds: Seconds = 30.0
    warmup_seconds: float = Field(5.0, ge=0, description="Of each probe; its requests are not judged.")
    grace_seconds: Seconds = Field(10.0, description="How long after its SLO a request is still followed.")
    max_in_flight: int = Field(1000, gt=0, description="Users of locust, in all.")
    gpus_per_replica: float = Field(1.0, ge=0)
    seed: int = 0
    gate: Gate = Gate()
    out: Path = Path("goodput-report")
    as_json: bool = False

    @model_validator(mode="after")
    def _two_for_ab(self) -> Plan:
        if (self.kind == "ab") != (len(self.targets) == 2):
            raise ValueError("targets: ab needs two, every other kind one")
        if self.warmup_seconds >= self.probe_seconds:
            raise ValueError("warmup_seconds must be shorter than probe_seconds")
        return self

    def slos(self) -> tuple[Slo, ...]:
        """By traffic class: what `Record.slo` points into."""
        return tuple(entry.limits() for entry in self.workload.classes)
