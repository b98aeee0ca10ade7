"""B against A on the same requests: the same seeded schedule to both, in turns; it knows neither what A nor B is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.records import Rows
from loadtest.results import Goodput, Interval, Paired
from loadtest.slo import Outcome, Slo
from loadtest.verdict import measures
from loadtest.verdict.measures import Floats
from loadtest.verdict.probe_result import Offered

_REPLICATES = 500
_SEED = 20240914


def paired(rows_a: Rows, rows_b: Rows, blocks: Sequence[tuple[Offered, Offered]], slos: Sequence[Slo]) -> Paired:
    """Each block is one probe of A and one of B with the same seed; a pair is the same turn of the same session.

    Requests that were cut or judged on one side only are in no pair. Latency ratios are of quantiles over the pairs
    that both answered; attainment is over all pairs. The intervals come from drawing blocks, and pairs within them,
    with replacement; with a single block there are none (NaN), since what differs from block to block is unknown.
    """
    found = [_pairs(a.judged(rows_a), b.judged(rows_b), slos) for a, b in blocks]
    found = [block for block in found if len(block.good)]
    rate = float(np.mean([a.rate for a, _ in blocks])) if blocks else math.nan
    return Paired(rate, sum(len(block.good) for block in found), *_intervals(found))


def goodput_ratio(a: Goodput, b: Goodput) -> Interval | None:
    """B over A, as wide as both intervals allow; None where either has no verdict."""
    if a.withheld or b.withheld or not a.rate.value > 0:
        return None
    high = b.rate.high / a.rate.low if a.rate.low > 0 else math.inf
    return Interval(b.rate.value / a.rate.value, b.rate.low / a.rate.high, high)


@dataclass(frozen=True)
class _Pairs:
    """A's and B's figures of the same requests, each of shape (pairs, 2); NaN: never came."""

    ttft: Floats
    tpot: Floats
    good: Floats

    def drawn(self, random: np.random.Generator) -> _Pairs:
        places = random.integers(0, len(self.good), len(self.good))
        return _Pairs(self.ttft[places], self.tpot[places], self.good[places])


def _pairs(a: Rows, b: Rows, slos: Sequence[Slo]) -> _Pairs:
    sides = []
    for side in (a, b):
        kept = side[measures.outcomes(side, slos) != Outcome.CUT]
        sides.append((kept, kept["session"].astype(np.int64) << 16 | kept["turn"]))
    (rows_a, keys_a), (rows_b, keys_b) = sides
    _, in_a, in_b = np.intersect1d(keys_a, keys_b, return_indices=True)
    both = (rows_a[in_a], rows_b[in_b])
    return _Pairs(
        np.column_stack([measures.ttft(side) for side in both]),
        np.column_stack([measures.tpot(side) for side in both]),
        np.column_stack([measures.outcomes(side, slos) == Outcome.GOOD for side in both]).astype(np.float64),
    )


def _intervals(found: Sequence[_Pairs]) -> list[Interval]:
    """Of `_figures`, in their order."""
    values = _figures(found)
    if len(found) < 2:
        return [Interval(float(value), math.nan, math.nan) for value in values]
    random = np.random.default_rng(_SEED)
    drawn = np.empty((_REPLICATES, len(values)))
    for replicate in drawn:
        places = random.integers(0, len(found), len(found))
        replicate[:] = _figures([found[place].drawn(random) for place in places])
    intervals = []
    for value, column in zip(values, drawn.T, strict=True):
        known = column[np.isfinite(column)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (math.nan, math.nan)
        intervals.append(Interval(float(value), float(low), float(high)))
    return intervals


def _figures(found: Sequence[_Pairs]) -> Floats:
    """Ratios B over A of TTFT p50, TTFT p99 and TPOT p50, and attainment of B less that of A."""
    if not found:
        return np.full(4, math.nan)
    ttft, tpot, good = (np.concatenate([getattr(block, name) for block in found]) for name in ("ttft", "tpot", "good"))
    share_a, share_b = good.mean(axis=0)
    return np.array([*_ratios(ttft, [0.5, 0.99]), *_ratios(tpot, [0.5]), share_b - share_a])


def _ratios(values: Floats, quantiles: Sequence[float]) -> list[float]:
    values = values[np.all(np.isfinite(values), axis=1)]
    if not len(values):
        return [math.nan] * len(quantiles)
    return [float(b / a) if a > 0 else math.nan for a, b in np.quantile(values, quantiles, axis=0)]
