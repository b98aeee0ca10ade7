"""What a run looks like while it goes on: the conductor publishes it, the web UI shows it; it measures nothing.

One owner writes and any greenlet reads: a snapshot is one frozen value, so there is nothing to lock.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from loadtest.plan import Plan
from loadtest.results import Check, Goodput, Interval, ProbeResult, Spread

Phase = Literal["starting", "floor", "probe", "done"]


@dataclass(frozen=True)
class Running:
    """The probe that goes on now; what it shows so far is not judged yet."""

    number: int
    target: int
    rate: float
    seconds: float
    """Since it began."""
    of_seconds: float
    """How long it offers requests; their answers come after."""
    warmup_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    attainment: Interval | None = None
    ttft: Spread | None = None
    tpot: Spread | None = None
    in_flight: int = 0
    late: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A whole run as it stands."""

    phase: Phase = "starting"
    seconds: float = 0.0
    """Since the run began."""
    most_probes: int | None = None
    """How many there can be; None where nobody knows."""
    said: str = ""
    """What goes on, in a sentence."""
    bracket: str = ""
    """Between which rates the goodput lies, in words."""
    running: Running | None = None
    probes: tuple[ProbeResult, ...] = ()
    goodputs: tuple[Goodput, ...] = ()
    checks: tuple[Check, ...] = ()
    report: Path | None = None
    """The HTML report, once it is written."""


class Live:
    """The newest snapshot of one run, beside what its plan says of all of them."""

    def __init__(self, plan: Plan) -> None:
        self._snapshot = Snapshot()
        self._version = 0
        self._plan = {
            "kind": plan.kind,
            "targets": [target.name for target in plan.targets],
            "slos": [dataclasses.asdict(slo) for slo in plan.slos()],
            "arrivals": plan.arrivals.kind,
            "quantile": plan.gate.quantile,
        }

    def publish(self, snapshot: Snapshot) -> None:
        """From now on `snapshot` is what readers see."""
        self._snapshot = snapshot
        self._version += 1

    @property
    def report(self) -> Path | None:
        """The HTML report, once it is written."""
        return self._snapshot.report

    def snapshot(self) -> dict[str, Any]:
        """For JSON: figures that are not numbers (NaN, infinite) are None."""
        # A page that asks each second must not hold up the loop that times requests: nothing shows the histograms.
        slim = tuple(dataclasses.replace(probe, histograms={}) for probe in self._snapshot.probes)
        now = dataclasses.replace(self._snapshot, probes=slim)
        shown: dict[str, Any] = _plain(dataclasses.asdict(now))
        return {**shown, "version": self._version, "plan": self._plan, "report": now.report is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
