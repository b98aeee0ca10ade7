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
from loadtest.verdict.levels import Level, capped, falling, levels, passing
from loadtest.verdict.measures import Floats
from loadtest.verdict.probe_result import Offered

_BLOCK_SECONDS = 10.0
_MIN_BLOCKS = 8
_REPLICATES = 1000
_SEED = 20240914


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
    replicates = _crossings(*_resampled(found, blocks_by_probe), found, quantile)
    good, total = (np.array([[getattr(level, name) for level in found]], np.float64) for name in ("good", "total"))
    value = float(_crossings(good, total, found, quantile)[0])
    low, high = np.quantile(replicates, [0.025, 0.975], method="nearest")
    rate = Interval(value, min(float(low), passed), max(float(high), failed or math.inf))
    return Goodput(target, quantile, rate, passed, failed, len(mine), withheld=withheld)


def _withheld(mine: Sequence[ProbeResult], found: Sequence[Level], count: int) -> str:
    """No verdict where nothing failed above what passed, and the client is why it was not looked for there."""
    limits = [probe.offered_rate for probe in mine if probe.client.reasons]
    if not limits and not found:
        return "No probe held a single request."
    if not limits or count < len(found):
        return ""
    least = f" The goodput is at least {found[-1].rate:.3g} rps." if count else ""
    reason = next(probe.client.reasons[0] for probe in mine if probe.client.reasons)
    return f"The client was the limit at {min(limits):.3g} rps. {reason}{least}"


def _resampled(found: Sequence[Level], blocks_by_probe: Mapping[int, Blocks]) -> tuple[Floats, Floats]:
    """(good, total) of shape (replicates, levels): the blocks of each probe, drawn with replacement."""
    random = np.random.default_rng(_SEED)
    good, total = np.zeros((2, _REPLICATES, len(found)))
    for place, level in enumerate(found):
        for probe in level.probes:
            own = blocks_by_probe[probe.number]
            drawn = random.integers(0, len(own.total), (_REPLICATES, len(own.total)))
            good[:, place] += own.good[drawn].sum(axis=1)
            total[:, place] += own.total[drawn].sum(axis=1)
    return good, total


def _crossings(good: Floats, total: Floats, found: Sequence[Level], quantile: float) -> Floats:
    """Per row of shape (levels): the rate at which the fitted attainment reaches `quantile`.

    Below the lowest level it is 0 (nothing passed), above the highest that level's rate (a lower bound).
    """
    rates = np.array([level.rate for level in found])
    overran = np.array([level.overran for level in found])
    fitted = falling(capped(good, total, overran, quantile), total)
    above = np.sum(fitted >= quantile, axis=-1)
    low, high = np.clip(above - 1, 0, None), np.clip(above, None, len(rates) - 1)
    each = np.arange(len(fitted))
    fall = fitted[each, low] - fitted[each, high]
    part = np.where(fall > 0, (fitted[each, low] - quantile) / np.where(fall > 0, fall, 1.0), 0.0)
    return np.where(above == 0, 0.0, rates[low] + part * (rates[high] - rates[low]))
