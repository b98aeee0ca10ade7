"""What the page's charts draw, as plain values of one size however long the run was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autoscale.simulate.run_result import Comparison, Run

POINTS = 480


def charts(comparison: Comparison) -> dict[str, Any]:
    """What the scripts beside find in the page."""
    return {
        "end": comparison.seconds,
        "spans": _spans(comparison.runs[0]),
        "laws": [_law(run) for run in comparison.runs],
    }


def _spans(run: Run) -> dict[str, Any]:
    """What is offered is the same for all laws."""
    width, offered = run.spans.width_seconds, run.spans.offered
    factor = max(1, math.ceil(len(offered) / POINTS))
    sums = [sum(offered[at : at + factor]) for at in range(0, len(offered), factor)]
    return {"width": width * factor, "offered": [_number(total / (width * factor)) for total in sums]}


def _law(run: Run) -> dict[str, Any]:
    steps = run.steps
    factor = max(1, math.ceil(len(steps.seconds) / POINTS))
    return {
        "name": run.law,
        "attainment": _attainment(run),
        "seconds": [_number(value) for value in steps.seconds[::factor]],
        "wanted": _most(steps.wanted, factor),
        "ready": list(steps.ready[::factor]),
        "waiting": _most(steps.waiting, factor),
        "signals": {name: [_number(value) for value in values[::factor]] for name, values in steps.signals.items()},
        "why": list(steps.why[::factor]),
    }


def _attainment(run: Run) -> list[float | None]:
    spans = run.spans
    factor = max(1, math.ceil(len(spans.offered) / POINTS))
    pairs = [
        (sum(spans.good[at : at + factor]), sum(spans.offered[at : at + factor]))
        for at in range(0, len(spans.offered), factor)
    ]
    return [_number(good / offered) if offered else None for good, offered in pairs]


def _most(values: Sequence[int], factor: int) -> list[int]:
    """The highest of each few: a peak is what hurts."""
    return [max(values[at : at + factor]) for at in range(0, len(values), factor)]


def _number(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
