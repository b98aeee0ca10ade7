"""Every request with its measures, its outcome and its place on the run's clock; all charts and tables start here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.results import ProbeResult, Result
from loadtest.slo import Slo
from loadtest.verdict import measures

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Columns of one length: a request each."""

    rows: Rows
    classes: tuple[Slo, ...]
    probe: Ints
    """Index into the result's probes; -1: of none of them."""
    began: measures.Floats
    """When its probe began, seconds since the run did."""
    outcome: measures.Codes
    ttft: measures.Floats
    tpot: measures.Floats
    e2e: measures.Floats
    in_window: Flags
    """Judged: it arrived within its probe's window."""


def judged(result: Result, rows: Rows) -> Judged:
    """One pass over the rows."""
    plan = Plan.model_validate(result.plan)
    classes = plan.slos()
    probe = _probes(result.probes, rows)
    # The window is the last part of a probe, whatever was left out before it.
    ends = np.array([*(entry.seconds for entry in result.probes), 0.0])[probe]
    starts = np.array([*(entry.seconds - entry.window_seconds for entry in result.probes), 0.0])[probe]
    begins = probe_begins(result.probes)
    return Judged(
        rows=rows,
        classes=classes,
        probe=probe,
        began=np.array([*begins, 0.0])[probe],
        outcome=measures.outcomes(rows, classes),
        ttft=measures.ttft(rows),
        tpot=measures.tpot(rows),
        e2e=measures.e2e(rows),
        in_window=(rows["scheduled"] >= starts) & (rows["scheduled"] < ends) & (probe >= 0),
    )


def probe_begins(probes: Sequence[ProbeResult]) -> list[float]:
    """Seconds since the first probe began. Without wall times they stand end to end."""
    if all(probe.began_unix > 0 for probe in probes):
        first = min((probe.began_unix for probe in probes), default=0.0)
        return [probe.began_unix - first for probe in probes]
    lengths = [max(probe.seconds, probe.window_seconds) for probe in probes]
    return [sum(lengths[:at]) for at in range(len(lengths))]


def _probes(probes: Sequence[ProbeResult], rows: Rows) -> Ints:
    """By number and target; an array of 256 * 65536 entries would be the fastest and is needlessly large."""
    highest = max([int(rows["probe"].max(initial=0)), *(probe.number for probe in probes)])
    places = np.full((highest + 1, 256), -1, dtype=np.int64)
    for at, probe in enumerate(probes):
        places[probe.number, probe.target] = at
    return np.asarray(places[rows["probe"], rows["target"]])
