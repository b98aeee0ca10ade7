"""Whether a share of good answers is proven to reach a quantile; it knows counts and not what they count."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from loadtest.results import Interval

Verdict: TypeAlias = Literal["pass", "fail", "undecided"]

_Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


def wilson(good: int, total: int) -> Interval:
    """Share of `good` in `total` with its 95 % Wilson interval; NaN within [0, 1] where there is nothing."""
    if total == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = good / total
    weight = 1 + _Z**2 / total
    centre = (share + _Z**2 / (2 * total)) / weight
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / weight
    # At the ends the interval closes exactly; floats would leave 1 - 1e-16.
    low = 0.0 if good == 0 else centre - half
    high = 1.0 if good == total else centre + half
    return Interval(share, low, high)


def verdict(interval: Interval, quantile: float) -> Verdict:
    """Pass or fail when the whole interval is on one side of `quantile`; the lower end may touch it."""
    if interval.low >= quantile:
        return "pass"
    return "fail" if interval.high < quantile else "undecided"
