"""What a simulated run leaves, as frozen values, and their JSON; nothing is computed here."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 1


@dataclass(frozen=True)
class Steps:
    """One value per sync of the HPA."""

    seconds: tuple[float, ...]
    wanted: tuple[int, ...]
    starting: tuple[int, ...]
    """With those that wait for a GPU."""
    ready: tuple[int, ...]
    waiting: tuple[int, ...]
    """Requests without a first token."""
    signals: Mapping[str, tuple[float | None, ...]]
    """By trigger; None: it could not be read."""
    why: tuple[str, ...]
    """The trigger that asked for most."""


@dataclass(frozen=True)
class Spans:
    """One value per span of `width_seconds`, by time of arrival."""

    width_seconds: float
    offered: tuple[int, ...]
    good: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def attainment(self) -> tuple[float | None, ...]:
        """None where nothing arrived."""
        return tuple(good / offered if offered else None for good, offered in zip(self.good, self.offered, strict=True))


@dataclass(frozen=True)
class Totals:
    """Of the whole run."""

    requests: int
    good: int
    rejected: int
    attainment: float
    gpu_hours: float
    flips: int
    """How often the wanted count turned from growing to shrinking or back."""
    most_replicas: int
    recovery_seconds: float
    """The longest time in which fewer than nine of ten requests were good."""
    died: int


@dataclass(frozen=True)
class Run:
    """One law on one trace."""

    law: str
    about: str
    seed: int
    steps: Steps
    spans: Spans
    totals: Totals


@dataclass(frozen=True)
class Score:
    """A run against the oracle's on the same trace."""

    score: float
    goodput_ratio: float
    gpu_ratio: float
    flips_per_change: float
    overshoot: float
    """The most replicas wanted over the oracle's most."""


@dataclass(frozen=True)
class Comparison:
    """Laws side by side on one trace; the oracle's run is among them."""

    trace: str
    about: str
    seconds: float
    load_changes: int
    """How often the offered load turned from growing to shrinking or back."""
    facts: Mapping[str, str]
    """What was assumed, for people."""
    runs: tuple[Run, ...]
    scores: Mapping[str, Score]

    def run(self, law: str) -> Run:
        return next(run for run in self.runs if run.law == law)


def dumps(result: Run | Comparison) -> str:
    """JSON; what is no finite number is null."""
    tree = {"version": VERSION, **dataclasses.asdict(result)}
    return json.dumps(_plain(tree), allow_nan=False, ensure_ascii=False)


def write(path: Path, result: Run | Comparison) -> None:
    path.write_text(dumps(result) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
