"""What a trigger's query answered and what the workload is like: the input of every decision; it asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias


class Odd(Enum):
    """An answer that is no number."""

    EMPTY = "no series"
    MANY = "several series"
    ERROR = "no answer"


EMPTY, MANY, ERROR = Odd.EMPTY, Odd.MANY, Odd.ERROR

Answer: TypeAlias = float | Odd
"""The one sample of an instant query, which may be NaN or infinite, or what came instead."""

Readings: TypeAlias = Mapping[str, Answer]
"""By `Trigger.key`. A key that is missing is an `ERROR`."""


class Workload(NamedTuple):
    """Pods of the scaled workload: asked for (`spec.replicas`), existing (`status.replicas`), ready."""

    spec: int
    status: int
    ready: int


def answer(values: Sequence[float]) -> Answer:
    """Of the values of the series that a query returned."""
    if not values:
        return Odd.EMPTY
    return float(values[0]) if len(values) == 1 else Odd.MANY
