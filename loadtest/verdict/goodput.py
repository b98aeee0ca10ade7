"""The goodput of a target with its interval, from all its probes; it knows no order in which they were run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.records import Rows
from loadtest.results import Goodput, Interval, ProbeResult
from loadtest.slo import Outcome, Slo
from loadtest.verdict import measures
from loadtest.verdict.levels import Bools, Level, capped, falling, levels, passing
from loadtest.verdict.measures import Floats
from loadtest.verdict.probe_result import Offered

_BLOCK_SECONDS = 10.0
_MIN_BLOCKS = 8
_REPLICATES = 1000
_SEED = 20240914
_MAX_DISPERSION = 10.0


@dataclass(frozen=True)
class Blocks:
    """Counts of a probe by consecutive stretches of its window, of one length: neighbours share a queue."""

    good: Floats
    total: Floats


def blocks(found: Rows, offered: Offered, slos: Sequence[Slo]) -> Blocks:
    """Blocks of 10 s, or shorter ones where the window would hold fewer than 8."""
    judged = offered.judged(found)
    outcomes = measures.outcomes(judged, slos)
    count = max(_MIN_BLOCKS, round(offered.window_seconds / _BLOCK_SECONDS))
    edges = np.linspace(offered.judged_from, offered.seconds, count + 1)
    good, _ = np.histogram(judged["scheduled"][outcomes == Outcome.GOOD], edges)
    total, _ = np.histogram(judged["scheduled"][outcomes != Outcome.CUT], edges)
    return Blocks(good.astype(np.float64), total.astype(np.float64))


def estimate(
    probes: Sequence[ProbeResult], blocks_by_probe: Mapping[int, Blocks], quantile: float, target: int
) -> Goodput:
    """Where attainment crosses `quantile`, by the probes of `target`; `blocks_by_probe` goes by probe number.

    Attainment is made to fall with the rate and is linear between two rates. The interval holds what 95 % of
    resamplings of the blocks give, and at least both rates around the crossing: between them nothing was measured.
    """
    mine = [probe for probe in probes if probe.target == target]
    found = levels(mine)
    count = passing(found, quantile)
    withheld = _withheld(mine, found, count)
    passed = found[count - 1].rate if count else 0.0
    failed = found[count].rate if count < len(found) else None
    if not found:
        nothing = Interval(math.nan, 0.0, math.inf)
        return Goodput(target, quantile, nothing, 0.0, None, len(mine), withheld=withheld)
    replicates = _resampled(found, blocks_by_probe).crossings(quantile)
    low, high = np.quantile(replicates, [0.025, 0.975], method="nearest")
    value = float(_measured(found).crossings(quantile)[0])
    rate = Interval(value, min(float(low), passed), max(float(high), failed or math.inf))
    return Goodput(target, quantile, rate, passed, failed, len(mine), withheld=withheld)


def _withheld(mine: Sequence[ProbeResult], found: Sequence[Level], count: int) -> str:
    """No verdict where nothing failed above what passed, and the client is why it was not looked for there.

    A stumble at a rate that another probe carried is none of the client's limits.
    """
    kept_up = {level.rate for level in found}
    stumbles = [probe for probe in mine if probe.client.reasons and probe.offered_rate not in kept_up]
    limits = [probe.offered_rate for probe in stumbles]
    if not limits and not found:
        return "No probe held a single request."
    if not limits or count < len(found):
        return ""
    least = f" The goodput is at least {found[-1].rate:.3g} rps." if count else ""
    return f"The client was the limit at {min(limits):.3g} rps. {stumbles[0].client.reasons[0]}{least}"


@dataclass(frozen=True)
class _Curves:
    """Curves of attainment over the rate, each array of shape (curves, levels), by rising rate."""

    rates: Floats
    good: Floats
    total: Floats
    overran: Bools

    def crossings(self, quantile: float) -> Floats:
        """Per curve: the rate at which its fitted attainment reaches `quantile`.

        Below the lowest level it is 0 (nothing passed), above the highest that level's rate (a lower bound).
        """
        fitted = falling(capped(self.good, self.total, self.overran, quantile), self.total)
        above = np.sum(fitted >= quantile, axis=-1)
        each, last = np.arange(len(fitted)), fitted.shape[-1] - 1
        low, high = np.maximum(above - 1, 0), np.minimum(above, last)
        fall = fitted[each, low] - fitted[each, high]
        part = np.where(fall > 0, (fitted[each, low] - quantile) / np.where(fall > 0, fall, 1.0), 0.0)
        between = self.rates[each, low] + part * (self.rates[each, high] - self.rates[each, low])
        return np.where(above == 0, 0.0, between)


def _measured(found: Sequence[Level]) -> _Curves:
    rates, good, total = (
        np.array([[getattr(level, name) for level in found]], np.float64) for name in ("rate", "good", "total")
    )
    return _Curves(rates, good, total, np.array([[level.overran for level in found]]))


def _resampled(found: Sequence[Level], blocks_by_probe: Mapping[int, Blocks]) -> _Curves:
    """The blocks of each probe, drawn with replacement, at rates that are no surer than the load was."""
    random = np.random.default_rng(_SEED)
    good, total, rates = np.zeros((3, _REPLICATES, len(found)))
    for place, level in enumerate(found):
        arrivals = np.concatenate([blocks_by_probe[probe.number].total for probe in level.probes])
        for probe in level.probes:
            own = blocks_by_probe[probe.number]
            drawn = random.integers(0, len(own.total), (_REPLICATES, len(own.total)))
            good[:, place] += own.good[drawn].sum(axis=1)
            total[:, place] += own.total[drawn].sum(axis=1)
        # Blocks without a single miss would show no spread at all: the share itself is drawn too (Jeffreys).
        good[:, place] = total[:, place] * random.beta(good[:, place] + 0.5, total[:, place] - good[:, place] + 0.5)
        rates[:, place] = level.rate * np.exp(_load_deviation(arrivals) * random.standard_normal(_REPLICATES))
    order = np.argsort(rates, axis=-1)
    overran = np.broadcast_to([level.overran for level in found], rates.shape)
    return _Curves(*(np.take_along_axis(array, order, axis=-1) for array in (rates, good, total, overran)))


def _load_deviation(arrivals: Floats) -> float:
    """By how much (a share, one standard deviation) the work of a probe differed from what its rate means.

    Near the knee that moves attainment from all to little, and no resampling within one probe shows it: the number of
    arrivals varies as its blocks do (Poisson: their mean), the work of one as its length (taken as exponential).
    """
    count = float(arrivals.sum())
    if not count:
        return 0.0  # all were cut as the backlog grew: nothing is known of them
    dispersion = float(arrivals.var(ddof=1) / arrivals.mean()) if len(arrivals) > 1 else 1.0
    return math.sqrt((min(dispersion, _MAX_DISPERSION) + 1.0) / count)
