"""A histogram of seconds whose parts from any number of processes add up exactly; it answers quantiles within 1 %.

Buckets are logarithmic, so the error is relative and the same at 1 ms and at 100 s. Verdicts use raw floats instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtest.verdict.measures import Floats

RELATIVE_ERROR = 0.01

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_LOW_SECONDS = 1e-6
_HIGH_SECONDS = 1e6


class Histogram:
    """Counts by bucket. Values below a microsecond count as 0, those above 1e6 s as 1e6 s; NaN is left out."""

    def __init__(self) -> None:
        self._zero = 0
        self._counts: dict[int, int] = {}
        self._sum = 0.0

    @property
    def count(self) -> int:
        return self._zero + sum(self._counts.values())

    @property
    def mean(self) -> float:
        """Exact but for the rounding of the sum; NaN where there is nothing."""
        return self._sum / self.count if self.count else math.nan

    def add(self, seconds: Floats) -> None:
        known = np.clip(seconds[~np.isnan(seconds)], 0.0, _HIGH_SECONDS)
        self._sum += float(known.sum())
        above = known[known >= _LOW_SECONDS]
        self._zero += len(known) - len(above)
        found, counts = np.unique(_buckets(above), return_counts=True)
        for bucket, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def merge(self, other: Histogram) -> None:
        self._zero += other._zero
        self._sum += other._sum
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def quantile(self, share: float) -> float:
        """The value at rank ceil(share * count), within `RELATIVE_ERROR`; NaN where there is nothing."""
        if not self.count:
            return math.nan
        # Rounded first: 0.07 * 100 is 7.000000000000001 and means the 7th.
        rank = max(math.ceil(round(share * self.count, 9)), 1)
        passed = self._zero
        if rank <= passed:
            return 0.0
        for bucket in sorted(self._counts):
            passed += self._counts[bucket]
            if rank <= passed:
                return 2 * _GAMMA**bucket / (_GAMMA + 1)
        raise AssertionError("the rank is within the count")

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `counts` run from the bucket `first` on without gaps."""
        first = min(self._counts, default=0)
        counts = [self._counts.get(bucket, 0) for bucket in range(first, max(self._counts, default=first - 1) + 1)]
        return {
            "relative_error": RELATIVE_ERROR,
            "zero": self._zero,
            "sum": self._sum,
            "first": first,
            "counts": counts,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Histogram:
        """Of `to_dict`. Raises ValueError where the buckets are not ours."""
        if data["relative_error"] != RELATIVE_ERROR:
            raise ValueError(f"relative_error: {data['relative_error']} cannot be merged with {RELATIVE_ERROR}")
        made = cls()
        made._zero, made._sum = data["zero"], data["sum"]
        made._counts = {data["first"] + place: count for place, count in enumerate(data["counts"]) if count}
        return made


def _buckets(seconds: Floats) -> npt.NDArray[np.int64]:
    return np.ceil(np.log(seconds) / _LOG_GAMMA).astype(np.int64)
