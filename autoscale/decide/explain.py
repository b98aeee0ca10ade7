"""A decision as sentences, signal by signal: why the count is what it is; it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.decide.decision import Decision, Metric, Proposal, Signal
from autoscale.decide.reading import Odd

LIMITS = {
    "ScalingDisabled": "the workload is at 0 replicas: the HPA rests, only KEDA's activation wakes it",
    "AboveMax": "the count was above maxReplicaCount",
    "BelowMin": "the count was below minReplicaCount",
    "MetricsFailed": "metrics could not be read, and without them the HPA does not shrink a workload",
    "ScaleUpStabilized": "less was wanted within the scale-up window",
    "ScaleDownStabilized": "more was wanted within the scale-down window",
    "ScaleUpLimit": "the scale-up policies allow no more in this period",
    "TooManyReplicas": "maxReplicaCount is reached",
    "ScaleDownLimit": "the scale-down policies allow no fewer in this period",
    "TooFewReplicas": "minReplicaCount is reached",
    "ScalerActive": "there is activity",
    "ScalerNotActive": "there is no activity",
    "ScalerCooldown": "there is no activity, and cooldownPeriod is not over",
    "AwaitsFallback": "a trigger fails; KEDA waits for its fallback",
    "TriggerError": "a trigger fails and there is no fallback: KEDA leaves the count alone",
    "PartialTriggerError": "a trigger is active and another fails: KEDA leaves the count alone",
}


def explain(decision: Decision, current: int) -> list[str]:
    """Lines, the verdict first. `current` is the count that was decided upon."""
    return [_verdict(decision, current), *_proposals(decision), *(_signal(signal) for signal in decision.signals)]


def _verdict(decision: Decision, current: int) -> str:
    head = f"stays at {current}" if decision.replicas is None else f"{current} -> {decision.replicas}"
    wish = ""
    if decision.wanted is not None and decision.wanted != (decision.replicas or current):
        wish = f", {decision.wanted} wanted"
    reason = LIMITS.get(decision.limit, "")
    return f"{head}{wish}{': ' + reason if reason else ''}"


def _proposals(decision: Decision) -> Iterator[str]:
    for proposal in decision.proposals:
        yield f"  {proposal.metric.name}: {_proposal(proposal)}"


def _proposal(proposal: Proposal) -> str:
    metric = proposal.metric
    if proposal.replicas is None:
        return f"no value: {proposal.why}"
    kept = ", within the tolerance" if proposal.in_tolerance else ""
    return (
        f"{_value(metric)} against {metric.target_milli / 1000:g} ({metric.metric_type}) -> {proposal.replicas}{kept}"
    )


def _value(metric: Metric) -> str:
    value = (metric.value_milli or 0) / 1000
    return f"{value:g} ({metric.why})" if metric.is_fallback else f"{value:g}"


def _signal(signal: Signal) -> str:
    answer = signal.answer.value if isinstance(signal.answer, Odd) else f"{signal.answer:g}"
    if signal.is_nil:
        return f"    {signal.key}: {answer}, {signal.failures} failures in a row, nil in the formula"
    if signal.is_fallback:
        return f"    {signal.key}: {answer}, {signal.failures} failures in a row, the fallback's value instead"
    if signal.value is None:
        count = f", {signal.failures} in a row" if signal.failures else ""
        return f"    {signal.key}: {answer}, an error{count}"
    taken = "" if signal.value == signal.answer else f", taken as {signal.value:g}"
    return f"    {signal.key}: {answer}{taken}"
