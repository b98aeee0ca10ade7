"""Counters and histograms as plain numbers, and Prometheus' families made of them; it declares no series."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

Labels = tuple[str, ...]


class Counts:
    """A counter family: label values to a number, `counts.values[labels] += 1`."""

    def __init__(self, name: str, help_text: str, labels: Labels) -> None:
        self.name, self.help_text, self.labels = name, help_text, labels
        self.values: dict[Labels, float] = defaultdict(float)

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, value in self.values.items():
            family.add_metric(labels, value)
        return family


class Spread:
    """A histogram family: label values to counts per bucket and a sum."""

    def __init__(self, name: str, help_text: str, labels: Labels, edges: tuple[float, ...]) -> None:
        self.name, self.help_text, self.labels, self.edges = name, help_text, labels, edges
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = defaultdict(float)

    def observe(self, value: float, labels: Labels) -> None:
        buckets = self._buckets.get(labels)
        if buckets is None:
            buckets = self._buckets[labels] = [0] * (len(self.edges) + 1)
        buckets[bisect_left(self.edges, value)] += 1
        self._sums[labels] += value

    def family(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, counts in self._buckets.items():
            cumulative, total = [], 0
            for edge, count in zip((*self.edges, "+Inf"), counts, strict=True):
                total += count
                cumulative.append((str(edge), float(total)))
            family.add_metric(labels, cumulative, self._sums[labels])
        return family
