"""The offered rates of a search with all that was counted at each, and how attainment falls over them.

It decides which rate passes and which fails; it knows neither what to probe next nor any interval of the crossing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.results import ProbeResult
from loadtest.slo import Outcome
from loadtest.verdict.attainment import Verdict, verdict, wilson
from loadtest.verdict.measures import Floats

Bools: TypeAlias = npt.NDArray[np.bool_]

_CUT, _GOOD = Outcome.CUT.name.lower(), Outcome.GOOD.name.lower()


@dataclass(frozen=True)
class Level:
    """One offered rate; probes of the same rate are pooled."""

    rate: float
    good: int
    total: int
    probes: tuple[ProbeResult, ...]

    @property
    def overran(self) -> bool:
        """Its last probe ended early, since the backlog grew: no quantile is kept at this rate."""
        return bool(self.probes[-1].ended_early)

    def verdict(self, quantile: float) -> Verdict:
        """By the pooled interval."""
        return "fail" if self.overran else verdict(wilson(self.good, self.total), quantile)

    def settled(self, quantile: float) -> bool:
        """Decided, or probed twice: then the point estimate decides."""
        return len(self.probes) > 1 or self.verdict(quantile) != "undecided"


def levels(probes: Iterable[ProbeResult]) -> tuple[Level, ...]:
    """By rising rate. Probes that the client could not carry, or that hold nothing, are left out.

    One that the growth of its backlog ended fails its rate, even where all in its window still waited and was cut.
    """
    by_rate: dict[float, list[ProbeResult]] = {}
    for probe in probes:
        if not probe.client.reasons and (counted(probe) or probe.ended_early):
            by_rate.setdefault(probe.offered_rate, []).append(probe)
    return tuple(
        Level(rate, sum(probe.outcomes[_GOOD] for probe in found), sum(map(counted, found)), tuple(found))
        for rate, found in sorted(by_rate.items())
    )


def counted(probe: ProbeResult) -> int:
    """How many requests are in its attainment."""
    return sum(count for outcome, count in probe.outcomes.items() if outcome != _CUT)


def passing(found: Sequence[Level], quantile: float) -> int:
    """How many of the levels, from the lowest on, reach `quantile` once attainment is made to fall with the rate.

    A pass above a fail is noise in one of them: the two are pooled, and their common attainment says which.
    """
    if not found:
        return 0
    total = np.array([level.total for level in found], dtype=np.float64)
    good = np.array([level.good for level in found], dtype=np.float64)
    overran = np.array([level.overran for level in found])
    return int(np.sum(falling(capped(good, total, overran, quantile), total) >= quantile))


def capped(good: Floats, total: Floats, overran: Bools, quantile: float) -> Floats:
    """Attainment by level, below `quantile` where the backlog grew: what was good then was only early in the queue."""
    share = good / np.maximum(total, 1e-12)
    below = quantile * (1 - 1e-6)
    return np.where(overran, np.minimum(share, below), share)


def falling(share: Floats, weight: Floats) -> Floats:
    """The closest series that never rises along the last axis (isotonic regression, weighted least squares).

    f(i) = min over a <= i of max over b >= i of the weighted mean of a..b: what pooling adjacent violators ends in.
    """
    zero = np.zeros((*share.shape[:-1], 1))
    weights = np.concatenate([zero, np.cumsum(weight, axis=-1)], axis=-1)
    sums = np.concatenate([zero, np.cumsum(share * weight, axis=-1)], axis=-1)
    count = share.shape[-1]
    fitted = np.empty_like(share)
    for place in range(count):
        spans = weights[..., None, place + 1 :] - weights[..., : place + 1, None]
        means = (sums[..., None, place + 1 :] - sums[..., : place + 1, None]) / np.maximum(spans, 1e-12)
        fitted[..., place] = means.max(axis=-1).min(axis=-1)
    return fitted
