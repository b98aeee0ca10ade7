"""Finds moments of the recent past with no engine, one and many: a query has to answer in each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from autoscale.live.prometheus import Prometheus

_STEP_SECONDS = 15.0
# Prometheus' own: a series that ended is still there for so long.
_SETTLED_STEPS = 3


class Moment(NamedTuple):
    """`at` is Unix seconds; None for now, with `engines` None too: they may change while it is asked."""

    at: float | None
    engines: int | None

    def __str__(self) -> str:
        if self.at is None:
            return "now"
        return "when there was 1 engine" if self.engines == 1 else f"when there were {self.engines} engines"


NOW = Moment(None, None)


def moments(prometheus: Prometheus, engines_query: str | None, now: float, past_seconds: float) -> list[Moment]:
    """Now, and the middle of the latest time in which no engine was ready, one, and the most that there were.

    Only counts that lasted some steps are taken: in between, scrapes and queries may differ by one.
    Raises `PrometheusError`.
    """
    if engines_query is None:
        return [NOW]
    latest: dict[int, float] = {}
    for series in prometheus.range(engines_query, now - past_seconds, now, _STEP_SECONDS):
        counts = [(at, round(value)) for at, value in series.points if math.isfinite(value)]
        for count, run in groupby(counts, key=lambda point: point[1]):
            times = [at for at, _ in run]
            if len(times) >= _SETTLED_STEPS:
                latest[count] = max(times[len(times) // 2], latest.get(count, 0.0))
    most = max(latest, default=0)
    return [NOW, *(Moment(latest[count], count) for count in sorted({0, 1, most} & latest.keys()))]


def engines_query(triggers: Mapping[str, str]) -> str | None:
    """The query that counts engines, of triggers by name: that of keda/signals.yaml is called `ready`."""
    return triggers.get("ready")
