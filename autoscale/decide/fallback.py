"""What KEDA makes of one trigger's answer: a value, a failure, or the fallback's value once failures exceed a limit."""

from __future__ import annotations

import math

from autoscale.decide.decision import Signal
from autoscale.decide.reading import Answer, Odd, Workload
from autoscale.decide.spec import Fallback, ScaledObject, Trigger

MOST = 2**63 - 1
LEAST = -(2**63)


def milli(value: float) -> int:
    """A scaler's value as KEDA >= 2.20.2 hands it over: whole thousandths, NaN, infinite and negative ones as 0."""
    if not math.isfinite(value) or value <= 0:
        return 0
    return min(MOST, int(f"{value:.3f}".replace(".", "")))


def truncated(value: float) -> int:
    """A float as Go's int64 has it on amd64: cut off; what does not fit, NaN too, is the lowest number."""
    if not math.isfinite(value) or not LEAST <= value <= MOST:
        return LEAST
    return int(value)


def approximate(milli_value: int) -> float:
    """A quantity in thousandths as Go's AsApproximateFloat64 has it."""
    return milli_value * 0.001


def value_of(trigger: Trigger, answer: Answer) -> float | None:
    """The number that the Prometheus scaler makes of an answer; None: it reports an error."""
    if isinstance(answer, Odd):
        return 0.0 if answer is Odd.EMPTY and trigger.ignores_null else None
    if not math.isfinite(answer):
        return 0.0 if trigger.ignores_null else None
    return answer


def is_valid(spec: ScaledObject) -> bool:
    """Whether there is a fallback that KEDA obeys: with modifiers the target has to be a whole number."""
    if spec.fallback is None:
        return False
    if spec.modifiers is None:
        return True
    text = spec.modifiers.target_text.removeprefix("+")
    return text.isdecimal() and int(text) > 0


def fallback_milli(spec: ScaledObject, trigger: Trigger, workload: Workload) -> int | None:
    """The value that makes the HPA ask for the fallback's replicas; None: KEDA fails to make one."""
    assert spec.fallback is not None
    replicas = _replicas(spec.fallback, workload.spec)
    modifiers = spec.modifiers
    kind = modifiers.metric_type if modifiers else trigger.metric_type
    if kind == "Value":
        if workload.ready == 0:
            return None
        replicas /= workload.ready
    target = modifiers.target if modifiers else approximate(milli(trigger.threshold))
    return truncated(target * 1000 * replicas)


def _replicas(fallback: Fallback, current: int) -> float:
    if fallback.behavior == "currentReplicas":
        return float(current)
    if fallback.behavior == "currentReplicasIfHigher":
        return float(max(current, fallback.replicas))
    if fallback.behavior == "currentReplicasIfLower":
        return float(min(current, fallback.replicas))
    return float(fallback.replicas)


class Health:
    """Failures in a row, per trigger: KEDA's polls and the HPA's reads count alike."""

    def __init__(self, spec: ScaledObject) -> None:
        self._spec = spec
        self._is_valid = is_valid(spec)
        self._failures = [0] * len(spec.triggers)

    def judge(self, trigger: Trigger, answer: Answer, workload: Workload) -> Signal:
        """Counts this answer."""
        value = value_of(trigger, answer)
        if value is not None:
            self._failures[trigger.index] = 0
            return Signal(trigger.key, answer, value)
        fallback = self._spec.fallback
        if fallback is None or not self._is_valid:
            return Signal(trigger.key, answer, None)
        self._failures[trigger.index] += 1
        failures = self._failures[trigger.index]
        if failures <= fallback.failure_threshold:
            return Signal(trigger.key, answer, None, failures)
        if fallback.behavior == "scalingModifiers":
            return Signal(trigger.key, answer, None, failures, is_nil=True)
        instead = fallback_milli(self._spec, trigger, workload)
        if instead is None:
            return Signal(trigger.key, answer, None, failures)
        return Signal(trigger.key, answer, approximate(instead), failures, is_fallback=True)
