"""Prometheus text as values that can be summed and subtracted; it knows no server and fetches nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import FrontSeries, VllmSeries

Key: TypeAlias = tuple[str, frozenset[tuple[str, str]]]

READ = tuple(str(name) for name in (*FrontSeries, *VllmSeries))
"""The series that the load test reads."""


@dataclass(frozen=True)
class Snapshot:
    """One exposition: a number per name and labels."""

    samples: Mapping[Key, float] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether there is a sample of this name."""
        return any(found == name for found, _ in self.samples)

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of this name that carry these labels; 0 where there are none."""
        return sum(self._values(name, labels))

    def values(self, name: str) -> list[float]:
        """Of every sample of this name."""
        return list(self._values(name, {}))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by the values of one label."""
        sums: dict[str, float] = defaultdict(float)
        for (found, labels), value in self.samples.items():
            if found == name:
                sums[dict(labels).get(label, "")] += value
        return dict(sums)

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """A histogram summed over its labels: (edge, count up to it), edges ascending, infinity last."""
        return sorted((float(edge), count) for edge, count in self.by(f"{name}_bucket", "le").items())

    def labels(self, name: str) -> list[dict[str, str]]:
        """Of each sample of this name."""
        return [dict(labels) for found, labels in self.samples if found == name]

    def _values(self, name: str, wanted: Mapping[str, str]) -> Iterable[float]:
        return (value for (found, has), value in self.samples.items() if found == name and wanted.items() <= has)


@dataclass(frozen=True)
class Snapshots:
    """Front and engines of one target at one moment. `engines` by URL; `missing` are known but gave nothing."""

    unix: float
    front: Snapshot | None = None
    engines: Mapping[str, Snapshot] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def parse(text: str, only: Collection[str] = READ) -> Snapshot:
    """The samples whose names begin with one of `only`. Raises `ValueError` for what is no exposition.

    An engine's exposition has 600 lines, of which 60 matter: the rest never reach the parser, which is slow.
    """
    lines = text.split("\n")
    if len(lines) < 2 or lines[-1]:
        raise ValueError("no Prometheus text, or not all of it")
    wanted = tuple(only)
    kept = "\n".join(line for line in lines if line.startswith(wanted))
    families = text_string_to_metric_families(f"{kept}\n")
    found = (sample for family in families for sample in family.samples)
    return Snapshot({(sample.name, frozenset(sample.labels.items())): float(sample.value) for sample in found})


def summed(parts: Iterable[Snapshot]) -> Snapshot:
    """Sample by sample."""
    sums: dict[Key, float] = defaultdict(float)
    for part in parts:
        for key, value in part.samples.items():
            sums[key] += value
    return Snapshot(sums)


def restarted(before: Snapshot, after: Snapshot) -> bool:
    """Whether the counters began anew in between: they went back, or say that they began at another time."""
    for key, value in before.samples.items():
        name, now = key[0], after.samples.get(key, math.nan)
        if name in (FrontSeries.BEGAN, VllmSeries.BEGAN) and abs(now - value) > 1:
            return True
        if name.endswith(("_total", "_count", "_bucket")) and now < value:
            return True
    return False


def increase(before: Snapshot, after: Snapshot) -> Snapshot:
    """What counters gained. Where they began anew that is what they show now; what they had before is lost."""
    if restarted(before, after):
        return after
    return Snapshot({key: value - before.samples.get(key, 0.0) for key, value in after.samples.items()})
