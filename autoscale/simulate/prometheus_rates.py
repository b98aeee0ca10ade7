"""A counter's growth over a window and a histogram's quantile, as Prometheus computes them; it reads no series."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from autoscale.simulate.fleet import Floats
from autoscale.simulate.prometheus import Labels


def increase(times: Floats, values: Floats, begin: float, end: float) -> float | None:
    """A counter's growth over the window, extrapolated to its ends; None with less than two samples in it."""
    if len(times) < 2:
        return None
    drops = values[:-1][np.diff(values) < 0]
    grown = float(values[-1] - values[0] + drops.sum())
    covered = float(times[-1] - times[0])
    gap = covered / (len(times) - 1)
    before, after = float(times[0]) - begin, end - float(times[-1])
    if grown > 0 and values[0] >= 0:
        before = min(before, covered * float(values[0]) / grown)
    before = before if before < gap * 1.1 else gap / 2
    after = after if after < gap * 1.1 else gap / 2
    return grown * (covered + before + after) / covered


def quantiles(quantile: float, buckets: Mapping[Labels, float]) -> dict[Labels, float]:
    """Linear within the bucket that the rank falls into, as `histogram_quantile` has it."""
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        edge = float(dict(labels)["le"])
        groups.setdefault(tuple(pair for pair in labels if pair[0] != "le"), []).append((edge, count))
    return {labels: _quantile(quantile, sorted(group)) for labels, group in groups.items()}


def _quantile(quantile: float, group: list[tuple[float, float]]) -> float:
    total = group[-1][1]
    if total == 0 or math.isnan(total) or len(group) < 2:
        return math.nan
    rank = quantile * total
    place = next(at for at, (_, count) in enumerate(group) if count >= rank)
    if place == len(group) - 1:
        return group[-2][0]
    low, under = group[place - 1] if place else (0.0, 0.0)
    edge, count = group[place]
    return low + (edge - low) * (rank - under) / (count - under)
