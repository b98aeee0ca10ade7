"""A Prometheus that scrapes the simulated fleet and answers queries as the real one does; it decides nothing.

What fronts and ready engines expose is stored under the names that they have in production, so that the text of a
ScaledObject's trigger is what gets evaluated. All engines are one series: the mean of a usage, the sum of a count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autoscale.simulate.fleet import TTFT_EDGES, Floats, Sample
from autoscale.simulate.prometheus_query import Selector
from autoscale.simulate.world import Pods
from serving.metrics import FrontSeries, VllmSeries

LOOKBACK_SECONDS = 300.0
PROVISIONED = "kube_deployment_status_replicas"
READY = "kube_deployment_status_replicas_ready"
Labels = tuple[tuple[str, str], ...]
Name = tuple[str, Labels]
_GROWTH = 2048


class Unreachable(Exception):
    """Prometheus does not answer."""


def exposed(sample: Sample, model: str) -> dict[Name, float]:
    """A scrape: every series that a signal or a known law asks for. Engines' are absent while none is ready."""
    front, engine = (("model", model),), (("model_name", model),)
    found: dict[Name, float] = {
        (FrontSeries.OFFERED_TOKENS, _with(front, "kind", "prefill")): sample.offered_prefill_tokens,
        (FrontSeries.OFFERED_TOKENS, _with(front, "kind", "decode")): sample.offered_decode_tokens,
        (FrontSeries.QUEUED_TOKENS, _with(front, "kind", "prefill")): sample.queued_prefill_tokens,
        (FrontSeries.QUEUED_TOKENS, _with(front, "kind", "decode")): sample.queued_decode_tokens,
        (FrontSeries.WAITING, front): float(sample.waiting),
        (FrontSeries.OLDEST_WAIT, front): sample.oldest_wait_seconds,
        (FrontSeries.REJECTED, front): float(sample.rejected),
        (FrontSeries.SLO_GOOD, front): float(sample.slo_good),
        (FrontSeries.SLO_TOTAL, front): float(sample.slo_total),
        (FrontSeries.ENGINES_READY, front): float(sample.ready),
    }
    up = sample.ready > 0
    if up:
        found[VllmSeries.RUNNING, engine] = float(sample.running)
        found[VllmSeries.WAITING, engine] = float(sample.engine_waiting)
        found[VllmSeries.KV_USAGE, engine] = sample.kv_usage
    for edge, count in zip((*TTFT_EDGES, "+Inf"), np.cumsum(sample.ttft_counts).tolist(), strict=True):
        found[f"{FrontSeries.TTFT}_bucket", _with(front, "le", str(edge))] = float(count)
        if up:
            found[f"{VllmSeries.TTFT}_bucket", _with(engine, "le", str(edge))] = float(count)
    return found


def counted(pods: Pods) -> dict[Name, float]:
    """What kube-state-metrics adds of the workload."""
    return {(PROVISIONED, ()): float(pods.existing), (READY, ()): float(pods.ready)}


class Prometheus:
    """Owns the samples of one run, and what was worked out of them. Times in seconds.

    `past` is for who evaluates subqueries: by expression and moment. What was scraped until then does not change.
    """

    def __init__(self, keep_seconds: float = 7200.0) -> None:
        self._keep = keep_seconds
        self.past: dict[object, dict[float, dict[Labels, float]]] = {}
        self._columns: dict[Name, int] = {}
        self._times = np.empty(_GROWTH)
        self._values = np.full((_GROWTH, 64), np.nan)
        self._filled = 0
        self.reachable = True

    def scrape(self, at: float, series: Mapping[Name, float]) -> None:
        """Store one scrape; a series that is not in it has gone stale. While it is down it scrapes nothing."""
        if not self.reachable:
            return
        if self._filled == len(self._times):
            self._forget(at)
        for name in series.keys() - self._columns.keys():
            self._columns[name] = len(self._columns)
        self._values[self._filled] = np.nan
        for name, value in series.items():
            self._values[self._filled, self._columns[name]] = value
        self._times[self._filled] = at
        self._filled += 1

    def named(self, selector: Selector) -> list[tuple[Labels, int]]:
        """Labels and column of every series that a selector matches."""
        return [
            (labels, column)
            for (name, labels), column in self._columns.items()
            if name == selector.name and set(selector.matchers) <= set(labels)
        ]

    def latest(self, column: int, at: float) -> float:
        """The newest value up to `at`; NaN: none within the lookback, or it is stale."""
        place = int(np.searchsorted(self._view(), at, side="right")) - 1
        if place < 0 or self._times[place] <= at - LOOKBACK_SECONDS:
            return float("nan")
        return float(self._values[place, column])

    def within(self, column: int, begin: float, end: float) -> tuple[Floats, Floats]:
        """Times and values of (begin, end], stale ones left out."""
        view = self._view()
        low, high = np.searchsorted(view, (begin, end), side="right")
        values = self._values[low:high, column]
        there = ~np.isnan(values)
        return view[low:high][there], values[there]

    def _view(self) -> Floats:
        return self._times[: self._filled]

    def _forget(self, now: float) -> None:
        """Drop what no range reaches any more; grow where all of it is still reached."""
        first = int(np.searchsorted(self._view(), now - self._keep))
        kept = self._filled - first
        size = max(len(self._times), 2 * kept)
        times, values = np.empty(size), np.full((size, self._values.shape[1]), np.nan)
        times[:kept], values[:kept] = self._times[first : self._filled], self._values[first : self._filled]
        self._times, self._values, self._filled = times, values, kept


def _with(labels: Labels, label: str, value: str) -> Labels:
    return tuple(sorted((*labels, (label, value))))
