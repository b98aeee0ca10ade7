"""The simulated runs that the autoscaling benchmark is made of, spread over the cores; it judges nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import NamedTuple

from autoscale.engine_profile import ASSUMED_H100_8B
from autoscale.simulate.loop import LoopSettings
from autoscale.simulate.run import Settings, compare
from autoscale.simulate.run_result import Run

SHED_SECONDS = 0.45


class Case(NamedTuple):
    """Laws beside the oracle on one draw of a trace."""

    trace: str
    seed: int
    laws: tuple[str, ...] = ("tidegate",)
    sheds: bool = True
    """The front refuses what would wait longer than the SLO leaves."""
    capacity_factor: float = 1.0
    max_num_seqs: int = ASSUMED_H100_8B.max_num_seqs
    outage: tuple[float, float] | None = None
    """Prometheus is away: from and until, seconds."""
    hours: float | None = None

    @property
    def text(self) -> str:
        front = "shed" if self.sheds else "no shed"
        return f"{self.trace}, seed {self.seed}, {front}, capacity x{self.capacity_factor:g}, {', '.join(self.laws)}"


class Outcome(NamedTuple):
    """One law of a case."""

    score: float
    attainment: float
    gpu_ratio: float
    flips: int
    load_changes: int
    shrunk: int
    """Times that fewer replicas were wanted than before, while Prometheus was away."""


Outcomes = dict[str, Outcome]


def run_all(cases: Sequence[Case]) -> dict[Case, Outcomes]:
    """By case, then by law. Prints a line as each is done."""
    found = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, (case, outcomes) in enumerate(zip(cases, pool.map(run, cases), strict=True), 1):
            print(f"[{number}/{len(cases)}] {case.text}: tidegate {outcomes['tidegate'].score:.3f}", flush=True)
            found[case] = outcomes
    return found


def run(case: Case) -> Outcomes:
    """Single-threaded, and the same for the same case."""
    settings = Settings(
        loop=LoopSettings(outages=(case.outage,) if case.outage else ()),
        capacity_factor=case.capacity_factor,
        shed_wait_seconds=SHED_SECONDS if case.sheds else None,
        hours=case.hours,
    )
    profile = ASSUMED_H100_8B.model_copy(update={"max_num_seqs": case.max_num_seqs})
    found = compare(case.trace, case.laws, profile, settings, case.seed)
    return {
        name: Outcome(
            score.score,
            found.run(name).totals.attainment,
            score.gpu_ratio,
            found.run(name).totals.flips,
            found.load_changes,
            _shrunk(found.run(name), case.outage),
        )
        for name, score in found.scores.items()
    }


def _shrunk(run: Run, outage: tuple[float, float] | None) -> int:
    if outage is None:
        return 0
    steps = zip(run.steps.seconds, run.steps.wanted, strict=True)
    wanted = [count for at, count in steps if outage[0] <= at < outage[1]]
    return sum(after < before for before, after in pairwise(wanted))
