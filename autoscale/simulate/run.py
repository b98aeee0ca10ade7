"""One law on one trace, and laws side by side: fleet, cluster, Prometheus and law put together and run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoscale import signals
from autoscale.engine_profile import EngineProfile
from autoscale.simulate import oracle, score, traffic
from autoscale.simulate.kernel import FrontModel, Kernel
from autoscale.simulate.knee import MIX, Fleets, Rates, knees, rates
from autoscale.simulate.laws.law import Law
from autoscale.simulate.laws.named import LAWS, Setting, law
from autoscale.simulate.laws.scaled_objects import Bounds
from autoscale.simulate.loop import Loop, LoopSettings, Step
from autoscale.simulate.run_result import Comparison, Run, Steps
from autoscale.simulate.world import ClusterSettings, World
from loadtest.slo import PRESETS, Slo

MODEL = "simulated"
SPAN_SECONDS = 60.0
ORACLE = "oracle"
_FOLLOWED_SECONDS = 120.0


@dataclass(frozen=True)
class Settings:
    """What a comparison assumes."""

    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    slo: Slo = PRESETS["chat"]
    mean_replicas: float = 5.0
    """The trace's mean rate, in replicas at their knee."""
    max_replicas: int | None = None
    """Bound of every law; None: twice what the peak needs."""
    capacity_factor: float = 1.0
    """What the law believes of a replica's rates, over what is true."""
    shed_wait_seconds: float | None = None
    """The front refuses a request whose predicted wait is longer; None: it refuses none."""
    hours: float | None = None
    """The trace in so many hours instead of its own."""
    signals_file: Path = signals.PATH
    parameters: Mapping[str, signals.Value] = field(default_factory=dict)
    """Of signals.yaml, beside the two rates."""


def engines(profile: EngineProfile, settings: Settings, seed: int = 1) -> Fleets:
    """Fleets of vLLM replicas of this profile, with the front before them."""
    wait = math.inf if settings.shed_wait_seconds is None else settings.shed_wait_seconds
    front = FrontModel(shed_wait_seconds=wait, prefill_tokens_per_second=1 / profile.prefill_seconds)
    return lambda requests: Kernel(profile, requests, settings.slo, front, seed)


def compare(trace: str, laws: Sequence[str], profile: EngineProfile, settings: Settings, seed: int = 1) -> Comparison:
    """The laws and the oracle on the same requests. Raises `ValueError` naming a trace or a law that is none."""
    fleets = engines(profile, settings, seed)
    setting = prepared(trace, fleets, settings, seed)
    return compared(list(runs(laws, fleets, settings, setting, seed)), profile, settings, setting)


def runs(laws: Sequence[str], fleets: Fleets, settings: Settings, setting: Setting, seed: int) -> Iterator[Run]:
    """One after the other, each when it has ended; the oracle's is among them."""
    made = [law(name, setting) for name in dict.fromkeys([*laws, ORACLE])]
    return (simulate(each, fleets, settings, setting, seed) for each in made)


def compared(found: Sequence[Run], profile: EngineProfile, settings: Settings, setting: Setting) -> Comparison:
    """What runs on one trace are worth beside the oracle's, which is one of them."""
    drawn = setting.trace
    best = next(run for run in found if run.law == ORACLE)
    times = np.arange(0.0, drawn.seconds, SPAN_SECONDS, dtype=np.float64)
    changes = score.load_changes(drawn.total_rate(times))
    scores = {run.law: score.score(run, best, changes) for run in found}
    facts = _facts(profile, settings, setting)
    return Comparison(drawn.name, drawn.about, drawn.seconds, changes, facts, tuple(found), scores)


def prepared(trace: str, fleets: Fleets, settings: Settings, seed: int) -> Setting:
    """The trace at the rate that is asked for, and what laws are told: knees, rates, bounds."""
    found = knees(fleets, sorted({*MIX, *traffic.shape(trace).curves}), settings.slo)
    drawn = traffic.draw(trace, settings.mean_replicas * found[MIX[0]], seed, settings.hours)
    return told(drawn, found, settings)


def told(trace: traffic.Trace, of_knees: Mapping[str, float], settings: Settings) -> Setting:
    """What laws are told on this trace; `of_knees` has those of its workloads and of MIX."""
    true = rates({workload: of_knees[workload] for workload in MIX})
    return Setting(
        trace=trace,
        knees=of_knees,
        believed=Rates(*(rate * settings.capacity_factor for rate in true)),
        signals=signals.load(settings.signals_file),
        parameters=settings.parameters,
        model=MODEL,
        ttft_seconds=settings.slo.ttft_seconds or 1.0,
        cold_start_seconds=settings.cluster.cold_start.slow_seconds,
        bounds=Bounds(1, settings.max_replicas or 2 * oracle.peak(trace, of_knees).at(0)),
    )


def simulate(by: Law, fleets: Fleets, settings: Settings, setting: Setting, seed: int) -> Run:
    """One run, the same for the same arguments. It begins with the replicas that the trace's first moment needs."""
    trace = setting.trace
    streams = [np.random.Generator(np.random.PCG64(each)) for each in np.random.SeedSequence([seed, 1]).spawn(2)]
    fleet = fleets(trace.requests)
    begin = max(1, int(np.ceil(oracle.needed(trace, setting.knees, np.zeros(1))[0] - 1e-9)))
    world = World(fleet, settings.cluster, begin, streams[0])
    steps = Loop(world, fleet, by, settings.loop, streams[1], MODEL).run(trace.seconds)
    gpu_seconds = world.gpu_seconds
    fleet.advance(trace.seconds + _FOLLOWED_SECONDS)
    spans = score.spans(trace.requests.at_seconds, fleet.results(), settings.slo, trace.seconds, SPAN_SECONDS)
    wanted = [step.pods.wanted for step in steps]
    totals = score.totals(spans, wanted, gpu_seconds, world.died)
    return Run(by.name, LAWS[by.name].about, seed, _steps(steps), spans, totals)


def _steps(steps: Sequence[Step]) -> Steps:
    names = list(dict.fromkeys(name for step in steps for name in step.decision.readings))
    return Steps(
        seconds=tuple(round(step.at, 2) for step in steps),
        wanted=tuple(step.pods.wanted for step in steps),
        starting=tuple(step.pods.starting + step.pods.pending for step in steps),
        ready=tuple(step.pods.ready for step in steps),
        waiting=tuple(step.waiting for step in steps),
        signals={name: tuple(step.decision.readings.get(name) for step in steps) for name in names},
        why=tuple(step.decision.why for step in steps),
    )


def _facts(profile: EngineProfile, settings: Settings, setting: Setting) -> dict[str, str]:
    cluster, loop = settings.cluster, settings.loop
    knees_said = ", ".join(f"{name} {rate:.2f} requests/s" for name, rate in setting.knees.items())
    return {
        "engine": ", ".join(profile.measured.values()) or "assumed, not measured: for ratios only",
        "knee of one replica": f"{knees_said}; at 95 % within the SLO",
        "the law is told": f"{setting.believed.prefill:.0f} prefill and {setting.believed.decode:.0f} decode tokens/s",
        "cold start": f"{cluster.cold_start.median_seconds:g} s median, lognormal sigma {cluster.cold_start.sigma:g}",
        "GPUs": str(cluster.max_gpus),
        "failures": f"{cluster.failures_per_replica_hour:g} per replica and hour",
        "periods": f"scrape {loop.scrape_seconds:g} s, HPA {loop.sync_seconds:g} s",
        "Prometheus away": ", ".join(f"{begin:g} to {end:g} s" for begin, end in loop.outages) or "never",
        "front": "refuses nothing" if settings.shed_wait_seconds is None else "refuses what would wait too long",
        "parameters": ", ".join(f"{name} {value}" for name, value in settings.parameters.items()) or "as signals.yaml",
    }
