"""The facts of requests, one row each, raw floats: workers send them, verdicts and reports read them; it judges none.

Rows travel between processes as bytes, so that a distributed run holds exactly what a single one does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.slo import Fault

Rows: TypeAlias = npt.NDArray[np.void]
"""Shape (requests,), of `ROW`."""

ROW = np.dtype(
    [
        ("probe", "<u2"),
        ("target", "<u1"),
        ("slo", "<u1"),  # index into the plan's classes
        ("session", "<u4"),  # its index in the schedule
        ("turn", "<u2"),
        ("fault", "<u1"),
        ("status", "<u2"),
        ("scheduled", "<f8"),  # seconds since the probe began, monotonic
        ("sent", "<f8"),
        ("first", "<f8"),  # NaN where no token came
        ("last", "<f8"),
        ("ended", "<f8"),
        ("stall", "<f8"),  # longest wait between two content chunks
        ("prompt_tokens", "<i4"),  # -1 where the server told no usage
        ("output_tokens", "<i4"),
        ("cached_tokens", "<i4"),
        ("first_tokens", "<i4"),  # tokens in the first content chunk
        ("chunks", "<i4"),
        ("detail", "S24"),
    ]
)


class Record(NamedTuple):
    """One request; the fields are those of `ROW`, in its order. Times are in seconds since the probe began."""

    probe: int
    target: int
    slo: int
    session: int
    turn: int
    fault: Fault
    status: int
    scheduled: float
    sent: float
    first: float
    last: float
    ended: float
    stall: float
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    first_tokens: int
    chunks: int
    detail: str
    """A short word for people, such as `http_500` or `broke_off`; never text of a prompt or an answer."""


def rows(records: Iterable[Record]) -> Rows:
    """The records as an array."""
    return np.array([tuple(record) for record in records], dtype=ROW)


def joined(parts: Iterable[Rows]) -> Rows:
    """All rows in one array, ordered by probe, target, session and turn: the same however they were spread."""
    whole = np.concatenate([np.empty(0, ROW), *parts])
    ordered: Rows = whole[np.lexsort((whole["turn"], whole["session"], whole["target"], whole["probe"]))]
    return ordered


def to_bytes(array: Rows) -> bytes:
    """For a message to another process."""
    return array.tobytes()


def from_bytes(data: bytes) -> Rows:
    """The array of `to_bytes`."""
    return np.frombuffer(data, dtype=ROW)
