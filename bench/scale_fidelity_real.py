"""The real side of the fidelity benchmark: a plain vLLM, its profile, its knee and its answers at given rates."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.profile.client import ProfileError
from autoscale.profile.run import Target, measure
from autoscale.simulate.fleet import Floats, Ints, Requests
from bench import engine_sides, load_run, sides
from bench.load_run import Found, Load, Tree
from bench.processes import RUN_FOLDER, BenchError
from bench.sides import Side
from loadtest.plan import Lengths, TrafficClass, Workload
from loadtest.slo import Slo

SLO = Slo("chat", 0.5, 0.05)
WORKLOAD = Workload(
    classes=(
        TrafficClass(
            slo=SLO.name,
            input=Lengths(median=200, sigma=0.6, low=32, high=900),
            output=Lengths(median=60, sigma=0.6, low=8, high=240),
        ),
    ),
    body={"ignore_eos": True},
)
MAX_NUM_SEQS, MAX_BATCHED_TOKENS = 64, 2048
_FLAGS = ("--max-num-seqs", str(MAX_NUM_SEQS), "--max-num-batched-tokens", str(MAX_BATCHED_TOKENS))


@dataclass(frozen=True, eq=False)
class Probe:
    """One rate offered to the real engine: what was asked, and what became of what was judged. Seconds."""

    offered_rate: float
    attainment: float
    requests: Requests
    """All that were sent, at their scheduled times."""
    judged: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ttft_seconds: Floats
    tpot_seconds: Floats


@contextlib.contextmanager
def engine() -> Iterator[Side]:
    """A plain vLLM with these limits, and nothing before it."""
    launch = engine_sides.plain(engine_sides.tiny_model())
    with sides.started(replace(launch, command=(*launch.command, *_FLAGS))) as side:
        yield side


def profile(side: Side) -> EngineProfile:
    """Measured as `tidegate scale profile` does."""
    target = Target(f"http://127.0.0.1:{side.port}", None, None, MAX_NUM_SEQS, MAX_BATCHED_TOKENS, "CPU")
    try:
        return asyncio.run(measure(target, lambda line: print(line, file=sys.stderr, flush=True))).profile
    except ProfileError as error:
        raise BenchError(str(error)) from None


def knee(side: Side, seconds: float, probes: int) -> Found:
    """The load test's search of goodput at 0.95."""
    options = ("--set", f"search.max_probes={probes}", "--set", "search.quantiles=[0.95]")
    return _bench(side, "goodput", seconds, options)


def curve(side: Side, rates: Sequence[float], seconds: float) -> Found:
    """Each rate once."""
    return _bench(side, "curve", seconds, ("--rates", ",".join(f"{rate:.4g}" for rate in rates)))


def answered(found: Found, kind: str) -> list[Probe]:
    """The probes of a run with their requests, as its folder has them. Probes that the client spoilt are left out."""
    with (_folder(kind) / "requests.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [probe for probe in found.probes if not probe["client"]["reasons"] and not probe["ended_early"]]
    return [_probe(probe, [row for row in rows if int(row["probe"]) == probe["number"]]) for probe in kept]


def _bench(side: Side, kind: str, seconds: float, options: Sequence[str]) -> Found:
    plan = RUN_FOLDER.absolute() / "fidelity-workload.json"
    plan.write_text(f'{{"workload": {WORKLOAD.model_dump_json()}}}', encoding="utf-8")
    given = ("--plan", str(plan), "--seconds", f"{seconds:g}", "--set", f"search.max_probe_seconds={2 * seconds:g}")
    return load_run.run(Load(_name(kind), kind, f"http://127.0.0.1:{side.port}/v1", (*given, *options), core=None))


def _name(kind: str) -> str:
    return f"fidelity {kind}"


def _folder(kind: str) -> Path:
    return RUN_FOLDER.absolute() / f"load-{_name(kind).replace(' ', '-')}"


def _probe(probe: Tree, rows: list[dict[str, str]]) -> Probe:
    rows = sorted(rows, key=lambda row: float(row["scheduled"]))
    apart = np.full(len(rows), -1, np.int32), np.zeros(len(rows), np.int32)
    return Probe(
        probe["offered_rate"],
        probe["attainment"]["value"],
        Requests(_floats(rows, "scheduled"), _tokens(rows, "prompt_tokens"), _tokens(rows, "output_tokens"), *apart),
        np.array([row["judged"] == "1" for row in rows]),
        _floats(rows, "ttft"),
        _floats(rows, "tpot"),
    )


def _tokens(rows: list[dict[str, str]], name: str) -> Ints:
    """Where vLLM told none, since the client gave up, the mean of the others."""
    told = _floats(rows, name)
    if np.isnan(told).all():
        raise BenchError("vLLM answered no request of a probe")
    return np.where(np.isnan(told), np.nanmean(told), told).round().astype(np.int32)


def _floats(rows: list[dict[str, str]], name: str) -> Floats:
    return np.array([float(row[name] or "nan") for row in rows])
