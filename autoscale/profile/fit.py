"""Fits the step model to what runs saw: least squares of relative errors, no cost below zero; it measures nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.profile.marks import ProfileError
from autoscale.profile.runs import Kind, Point

Floats = NDArray[np.float64]
_COSTS = 6


class Fit(NamedTuple):
    """Seconds, as `EngineProfile` names them. `request_seconds` is what a request takes besides its steps.

    `residuals` are mean absolute relative errors, by kind, fitted and held out.
    """

    base_seconds: float
    prefill_seconds: float
    attention_seconds: float
    sequence_seconds: float
    context_seconds: float
    request_seconds: float
    residuals: dict[str, float]


def fitted(points: Sequence[Point], max_batched_tokens: int) -> Fit:
    """Raises `ValueError` for fewer fitted points than costs, `ProfileError` when a step would take no time."""
    used = [point for point in points if not point.run.held_out]
    if len(used) < _COSTS:
        raise ValueError(f"{len(used)} measured points do not tell {_COSTS} costs apart")
    rows = np.array([_row(point, max_batched_tokens) for point in used])
    seconds = np.array([point.seconds for point in used])
    costs = _non_negative(rows / seconds[:, None], np.ones(len(used)))
    base, prefill, attention, sequence, context, request = costs.tolist()
    if base + min(prefill, sequence) <= 0:
        raise ProfileError(
            "the times do not fit an engine: a step would take none. Somebody else used its machine meanwhile;"
            " profile it when that is free"
        )
    residuals = _residuals(points, costs, max_batched_tokens)
    return Fit(base, prefill, attention, sequence, context, request, residuals)


def _row(point: Point, max_batched_tokens: int) -> list[float]:
    """How often each cost is paid within the point's seconds."""
    run = point.run
    if run.kind is Kind.PREFILL:
        steps = math.ceil(run.prompt_tokens / max_batched_tokens)
        return [steps, run.prompt_tokens, run.prompt_tokens**2 / 2, 0.0, 0.0, 1.0]
    return [1.0, 0.0, 0.0, run.streams, point.context_tokens, 0.0]


def _non_negative(rows: Floats, target: Floats) -> Floats:
    """The exact optimum over all sets of costs that are not zero; six costs are 63 sets."""
    best, least = np.zeros(rows.shape[1]), math.inf
    for size in range(1, rows.shape[1] + 1):
        for columns in itertools.combinations(range(rows.shape[1]), size):
            part, *_ = np.linalg.lstsq(rows[:, columns], target, rcond=None)
            error = float(np.square(rows[:, columns] @ part - target).sum())
            if (part >= 0).all() and error < least - 1e-12:
                best, least = np.zeros(rows.shape[1]), error
                best[list(columns)] = part
    return best


def _residuals(points: Sequence[Point], costs: Floats, max_batched_tokens: int) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    for point in points:
        foreseen = float(np.array(_row(point, max_batched_tokens)) @ costs)
        name = f"{point.run.kind}{'_held_out' if point.run.held_out else ''}"
        errors.setdefault(name, []).append(abs(foreseen / point.seconds - 1))
    return {name: round(float(np.mean(several)), 4) for name, several in errors.items()}
