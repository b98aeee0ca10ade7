"""What a run was paid for: replicas over time, and good answers for each GPU second; it knows no prices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadtest.results import Cost, Goodput, ProbeResult, Series
from loadtest.slo import Outcome
from loadtest.verdict.measures import Floats


def cost(series: Series, probes: Sequence[ProbeResult], gpus_per_replica: float) -> Cost | None:
    """None where no replica was ever seen. Good answers are set against the replicas of the same windows alone."""
    steps = _steps(series)
    if steps is None:
        return None
    whole = steps.between(float(steps.unix[0]), float(steps.unix[-1]))
    good, paid = 0, 0.0
    for probe in probes:
        end = probe.began_unix + probe.seconds
        seconds = steps.between(end - probe.window_seconds, end)
        if seconds > 0:
            good += probe.outcomes.get(Outcome.GOOD.name.lower(), 0)
            paid += seconds * gpus_per_replica
    return Cost(whole, whole * gpus_per_replica / 3600, good / paid if paid else math.nan)


def with_gpus(goodput: Goodput, gpus: float) -> Goodput:
    """The goodput with its rate for each of `gpus`; without any it stays as it is."""
    return replace(goodput, per_gpu=goodput.rate.value / gpus) if gpus > 0 else goodput


@dataclass(frozen=True)
class _Steps:
    """A number of replicas holds from its sample to the next; before the first and after the last it is unknown."""

    unix: Floats
    replicas: Floats

    def between(self, begin: float, end: float) -> float:
        """Replica-seconds."""
        lengths = np.minimum(self.unix[1:], end) - np.maximum(self.unix[:-1], begin)
        return float(np.sum(np.maximum(lengths, 0.0) * self.replicas[:-1]))


def _steps(series: Series) -> _Steps | None:
    """A scrape that failed changes nothing: what was seen before it goes on."""
    seen = [
        (unix, count)
        for unix, count in zip(series.unix, series.values.get("replicas", ()), strict=False)
        if count is not None
    ]
    if not seen:
        return None
    unix, replicas = (np.array(column, dtype=np.float64) for column in zip(*seen, strict=True))
    return _Steps(unix, replicas)
