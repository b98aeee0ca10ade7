"""What a server must have counted, by the client's rows: exactly where a request ended whole, else as a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.records import Rows
from loadtest.slo import Fault
from loadtest.verdict.measures import Floats, ttft_net

_NOT_CONNECTED = (b"connect", b"connect_timeout", b"tls")


@dataclass(frozen=True)
class Range:
    """Both ends belong to it."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether it is in the range; token sums are whole numbers in floats."""
        return self.low - 0.5 < value < self.high + 0.5

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:.0f}"
        return f"{self.low:.0f} or more" if math.isinf(self.high) else f"{self.low:.0f} to {self.high:.0f}"


@dataclass(frozen=True)
class Tally:
    """The client's side. Times are net TTFTs in seconds of the streams that began."""

    reached: Range
    answered: Range
    failed: Range
    output_tokens: Range
    prompt_tokens: Range
    first_seconds: Floats
    firsts: Range
    open_ends: int
    """Requests of which only the server knows how they ended there."""
    all_streams: bool


def tally(found: Rows, streams: Sequence[bool]) -> Tally:
    """Count rows; `streams` says which traffic classes stream."""
    unsent = np.isnan(found["sent"]) | ((found["status"] == 0) & np.isin(found["detail"], _NOT_CONNECTED))
    found = found[~unsent]
    fault, status = found["fault"], found["status"]
    whole = fault == Fault.NONE
    refused = ~whole & (status != 0) & (status != 200)
    begun = ~whole & (status == 200)
    unsure = ~(whole | refused | begun)
    open_ends = int(np.sum(begun | unsure))
    streamed = np.asarray(streams, dtype=bool)[found["slo"]]
    started = streamed & np.isfinite(found["first"])
    sure = int(np.sum(whole | refused | begun))
    return Tally(
        reached=Range(sure, sure + int(np.sum(unsure))),
        answered=_up(int(np.sum(whole)), open_ends),
        failed=_up(int(np.sum(refused)), open_ends),
        output_tokens=_tokens(found["output_tokens"][whole], open_ends),
        prompt_tokens=_tokens(found["prompt_tokens"][whole], open_ends),
        first_seconds=ttft_net(found[started]),
        # A stream whose client saw no token may have had its first event at the server all the same.
        firsts=_up(int(np.sum(started)), int(np.sum(streamed & ~started & ~refused))),
        open_ends=open_ends,
        all_streams=bool(np.all(streamed)),
    )


def _up(sure: int, more: int) -> Range:
    return Range(sure, sure + more)


def _tokens(told: np.ndarray[tuple[int], np.dtype[np.int32]], open_ends: int) -> Range:
    """A lower bound where answers came without usage or had no end."""
    known = told >= 0
    low = float(np.sum(told[known], dtype=np.int64))
    return Range(low, low if known.all() and not open_ends else math.inf)
