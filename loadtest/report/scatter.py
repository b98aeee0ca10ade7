"""TTFT against TPOT for a chart: counts in log bins, and a seeded sample of single requests; it draws nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from loadtest.report.judged import Flags, Ints, Judged
from loadtest.slo import Outcome
from loadtest.verdict.measures import Floats

COLUMNS, LINES = 84, 60
SAMPLE = 5000


def scatter(found: Judged, seed: int = 0) -> dict[str, Any]:
    """Axis ranges in seconds, the classes' limits, and a panel for each probe and class that has requests."""
    judged = found.in_window & (found.outcome != Outcome.CUT)
    slos = [{"name": slo.name, "ttft": slo.ttft_seconds, "tpot": slo.tpot_seconds} for slo in found.classes]
    x = _range(found.ttft[judged], [slo.ttft_seconds for slo in found.classes], 0.5)
    y = _range(found.tpot[judged], [slo.tpot_seconds for slo in found.classes], 0.05)
    probe, slo = found.probe[judged], found.rows["slo"][judged].astype(np.int64)
    keys, panel = np.unique(probe * 256 + slo, return_inverse=True)
    random = np.random.default_rng(seed)
    budget = max(60, SAMPLE // max(1, len(keys)))
    grid = _Grid(x, y, found.ttft[judged], found.tpot[judged], found.outcome[judged])
    panels = []
    for at, key in enumerate(keys.tolist()):
        panels.append({"probe": key // 256, "slo": key % 256, **grid.panel(panel == at, random, budget)})
    return {"x": x, "y": y, "columns": COLUMNS, "lines": LINES, "slos": slos, "panels": panels}


class _Grid:
    def __init__(self, x: list[float], y: list[float], ttft: Floats, tpot: Floats, outcome: Any) -> None:
        self._ttft, self._tpot, self._outcome = ttft, tpot, outcome
        self._cell = _bin(ttft, x, COLUMNS) + COLUMNS * _bin(tpot, y, LINES)
        self._there = np.isfinite(ttft) & np.isfinite(tpot)

    def panel(self, own: Flags, random: np.random.Generator, budget: int) -> dict[str, Any]:
        """Bins as three lists of one length; points as times in ms; who has no place on the plane, by outcome."""
        bins: dict[str, list[int]] = {"cells": [], "counts": [], "good": []}
        seen = own & self._there
        total = int(seen.sum())
        if total > budget:
            good = seen & (self._outcome == Outcome.GOOD)
            counts = np.bincount(self._cell[seen], minlength=COLUMNS * LINES)
            goods = np.bincount(self._cell[good], minlength=COLUMNS * LINES)
            cells = np.flatnonzero(counts)
            bins = {"cells": cells.tolist(), "counts": counts[cells].tolist(), "good": goods[cells].tolist()}
        answered = own & np.isfinite(self._ttft)
        return {
            **bins,
            "total": total,
            "points": self._points(answered, random, budget),
            "no_tpot": int(answered.sum()) - total,
            "no_token": _counted(self._outcome[own & np.isnan(self._ttft)]),
        }

    def _points(self, own: Flags, random: np.random.Generator, budget: int) -> dict[str, list[Any]]:
        """At most `budget`, evenly over the outcomes that there are, so that the rare ones show."""
        drawn: list[Ints] = []
        kinds = [places for code in Outcome if len(places := np.flatnonzero(own & (self._outcome == code)))]
        for left, places in zip(range(len(kinds), 0, -1), sorted(kinds, key=len), strict=True):
            size = min(len(places), (budget - sum(len(part) for part in drawn)) // left)
            drawn.append(random.choice(places, size, replace=False, shuffle=False))
        chosen = np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)
        return {
            "ttft": _milliseconds(self._ttft[chosen]),
            "tpot": _milliseconds(self._tpot[chosen]),
            "outcome": self._outcome[chosen].tolist(),
        }


def _range(values: Floats, limits: list[float | None], fallback: float) -> list[float]:
    """From the 0.1st to the 99.9th percentile and around every limit, with room."""
    positive = values[np.isfinite(values) & (values > 0)]
    marks = [limit for limit in limits if limit] or [fallback]
    if len(positive):
        marks += np.quantile(positive, [0.001, 0.999]).tolist()
    return [min(marks) / 1.5, max(marks) * 1.5]


def _bin(values: Floats, limits: list[float], bins: int) -> Any:
    """What lies outside is in the outermost bin."""
    low, high = math.log(limits[0]), math.log(limits[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        place = (np.log(np.maximum(np.nan_to_num(values), 1e-9)) - low) / (high - low) * bins
    return np.clip(place, 0, bins - 1).astype(np.int64)


def _counted(codes: Any) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(Outcome))
    return {code.name.lower(): int(counts[code]) for code in Outcome if counts[code]}


def _milliseconds(values: Floats) -> list[float | None]:
    return [None if value != value else float(f"{value * 1000:.4g}") for value in values.tolist()]
