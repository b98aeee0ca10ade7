"""Counters and histograms as plain numbers, and Prometheus' families made of them; it declares no series."""

from __future__ import annotations

from bisect import bisect_left

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

Labels = tuple[str, ...]


class Count:
    """One series of a counter family."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Counts(dict[Labels, Count]):
    """A counter family: label values to their series, which is there from the first time that it is asked for.

    `counts[labels].value += 1`; who counts often keeps the series.
    """

    def __init__(self, name: str, help_text: str, labels: Labels) -> None:
        super().__init__()
        self.name, self.help_text, self.labels = name, help_text, labels

    def __missing__(self, labels: Labels) -> Count:
        count = self[labels] = Count()
        return count

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, count in self.items():
            family.add_metric(labels, count.value)
        return family


class Seen:
    """One series of a histogram family: counts per bucket and a sum."""

    __slots__ = ("_edges", "buckets", "sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self.buckets = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self._edges, value)] += 1
        self.sum += value


class Spread(dict[Labels, Seen]):
    """A histogram family: label values to their series, `spread[labels].observe(seconds)`."""

    def __init__(self, name: str, help_text: str, labels: Labels, edges: tuple[float, ...]) -> None:
        super().__init__()
        self.name, self.help_text, self.labels, self.edges = name, help_text, labels, edges

    def __missing__(self, labels: Labels) -> Seen:
        seen = self[labels] = Seen(self.edges)
        return seen

    def family(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, seen in self.items():
            cumulative, total = [], 0
            for edge, count in zip((*self.edges, "+Inf"), seen.buckets, strict=True):
                total += count
                cumulative.append((str(edge), float(total)))
            family.add_metric(labels, cumulative, seen.sum)
        return family
