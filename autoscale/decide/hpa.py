"""The HPA's part (1.34 on): metrics become proposals, the largest is paced; it knows no trigger and no query."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoscale.decide.behavior import Pace, saturated
from autoscale.decide.decision import Decision, Metric, Proposal
from autoscale.decide.fallback import MOST
from autoscale.decide.reading import Workload
from autoscale.decide.spec import HpaSettings, ScaledObject


class Hpa:
    """The state that kube-controller-manager has of the HPA that KEDA made."""

    def __init__(self, spec: ScaledObject, settings: HpaSettings | None = None) -> None:
        flags = settings or HpaSettings()
        behavior = spec.behavior
        up = behavior.up.tolerance if behavior else None
        down = behavior.down.tolerance if behavior else None
        self._lowest = 1.0 - (flags.tolerance if down is None else down)
        self._highest = 1.0 + (flags.tolerance if up is None else up)
        self._least, self._most = spec.hpa_min, spec.max_replicas
        self._pace = Pace(behavior, flags)

    def sync(self, now: float, metrics: Sequence[Metric], workload: Workload) -> Decision:
        """One turn of the control loop.."""
        current = workload.spec
        self._pace.begin(now, current)
        if current == 0:
            return Decision(None, "ScalingDisabled")
        if current > self._most:
            return self._write(now, current, Decision(self._most, "AboveMax"))
        if current < self._least:
            return self._write(now, current, Decision(self._least, "BelowMin"))
        proposals = tuple(self._propose(metric, workload) for metric in metrics)
        wanted = _largest(proposals, current)
        if wanted is None:
            return Decision(None, "MetricsFailed", proposals=proposals)
        stable = self._pace.stabilize(now, current, max(wanted, 0))
        replicas, limit = self._pace.limit(now, current, stable, self._least, self._most)
        if not limit and stable != max(wanted, 0):
            limit = "ScaleUpStabilized" if wanted >= current else "ScaleDownStabilized"
        return self._write(now, current, Decision(replicas, limit, (), proposals, wanted, stable))

    def needs_metrics(self, current: int) -> bool:
        """Whether the HPA asks for its metrics at this count."""
        return self._least <= current <= self._most and current > 0

    def _write(self, now: float, current: int, decision: Decision) -> Decision:
        if decision.replicas is None or decision.replicas == current:
            return decision._replace(replicas=None)
        self._pace.changed(now, current, decision.replicas)
        return decision

    def _propose(self, metric: Metric, workload: Workload) -> Proposal:
        if metric.value_milli is None:
            return Proposal(metric, math.nan, None, why=metric.why)
        if metric.metric_type == "Value":
            return self._by_value(metric, metric.value_milli, workload)
        # A negative total is taken for an overflow.
        usage = MOST if metric.value_milli < 0 else metric.value_milli
        allowed = metric.target_milli * workload.status
        ratio = usage / allowed if allowed else (math.inf if usage else math.nan)
        if self._is_tolerated(ratio):
            return Proposal(metric, ratio, workload.status, in_tolerance=True)
        return Proposal(metric, ratio, saturated(math.ceil(usage / metric.target_milli)))

    def _by_value(self, metric: Metric, value_milli: int, workload: Workload) -> Proposal:
        ratio = value_milli / metric.target_milli
        if self._is_tolerated(ratio):
            return Proposal(metric, ratio, workload.spec, in_tolerance=True)
        if workload.status == 0:
            return Proposal(metric, ratio, None, why="there are no pods to count")
        return Proposal(metric, ratio, saturated(math.ceil(ratio * workload.ready)))

    def _is_tolerated(self, ratio: float) -> bool:
        return self._lowest <= ratio <= self._highest


def _largest(proposals: Sequence[Proposal], current: int) -> int | None:
    """None: no metric could be read, or one could not and the others would shrink the workload."""
    valid = [proposal.replicas for proposal in proposals if proposal.replicas is not None]
    if not valid:
        return None
    largest = 0
    for replicas in valid:
        if largest == 0 or replicas > largest:
            largest = replicas
    return None if len(valid) < len(proposals) and largest < current else largest
