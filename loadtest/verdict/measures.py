"""TTFT, TPOT and the outcome of every request, in one pass over the rows; README.md's definitions as code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.records import Rows
from loadtest.slo import Fault, Outcome, Slo

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]

_ROUNDING_SECONDS = 1e-9
"""More than a difference of two times within a day can be off by; a limit that is met exactly is met."""


def ttft(found: Rows) -> Floats:
    """Scheduled arrival to first token, seconds; NaN where none came. What a user sees, and what is judged."""
    return np.asarray(found["first"] - found["scheduled"])


def ttft_net(found: Rows) -> Floats:
    """Dispatch to first token, seconds: what other load tests call TTFT."""
    return np.asarray(found["first"] - found["sent"])


def tpot(found: Rows) -> Floats:
    """Seconds per output token after the first chunk, by tokens from usage; NaN where there are none or no usage."""
    later = (found["output_tokens"] - found["first_tokens"]).astype(np.float64)
    later[(later <= 0) | (found["output_tokens"] < 0)] = np.nan
    return np.asarray((found["last"] - found["first"]) / later)


def e2e(found: Rows) -> Floats:
    """Scheduled arrival to the end of the answer, seconds."""
    return np.asarray(found["ended"] - found["scheduled"])


def send_lag(found: Rows) -> Floats:
    """Scheduled arrival to dispatch, seconds: what the client itself added."""
    return np.asarray(found["sent"] - found["scheduled"])


def outcomes(found: Rows, classes: Sequence[Slo]) -> Codes:
    """An `Outcome` per row. `classes` are the plan's, which a row's `slo` points into.

    A fault decides first; then TTFT, TPOT, end to end. TPOT that is undefined (one chunk, no usage) judges nothing.
    """
    judged = np.full(len(found), Outcome.GOOD, dtype=np.uint8)
    limits = np.array(
        [[_or_inf(slo.ttft_seconds), _or_inf(slo.tpot_seconds), _or_inf(slo.e2e_seconds)] for slo in classes]
    ).reshape(-1, 3)
    for outcome, values, limit in (
        (Outcome.SLOW_E2E, e2e(found), limits[found["slo"], 2]),
        (Outcome.SLOW_TPOT, tpot(found), limits[found["slo"], 1]),
        (Outcome.SLOW_TTFT, ttft(found), limits[found["slo"], 0]),
    ):
        judged[values > limit + _ROUNDING_SECONDS] = outcome
    # A whole answer without a single token: there was nothing that its user could have waited for less.
    judged[np.isnan(found["first"]) & np.isfinite(limits[found["slo"], 0])] = Outcome.ERROR
    for fault in (Fault.ERROR, Fault.TIMEOUT, Fault.SHED, Fault.CUT):
        judged[found["fault"] == fault] = Outcome[fault.name]
    return judged


def _or_inf(limit: float | None) -> float:
    return np.inf if limit is None else limit
