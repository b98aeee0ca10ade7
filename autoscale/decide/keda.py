"""KEDA's part: its polls decide between none and some, its metrics are what the HPA reads; pods are only numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoscale.decide.decision import Decision, Limit, Metric, Signal
from autoscale.decide.fallback import Health, approximate, milli, truncated
from autoscale.decide.formula import FormulaError
from autoscale.decide.reading import ERROR, Answer, Readings, Workload
from autoscale.decide.spec import COMPOSITE, Modifiers, ScaledObject, Trigger


class Keda:
    """The state that KEDA has of one ScaledObject: failures in a row, when it was last active. `created` in seconds."""

    def __init__(self, spec: ScaledObject, created: float = 0.0) -> None:
        self._spec = spec
        self._created = created
        self._health = Health(spec)
        self._cached: dict[int, Answer] = {}
        self.last_active: float | None = None

    def poll(self, now: float, readings: Readings, workload: Workload) -> Decision:
        """One turn of the polling loop."""
        signals = tuple(self._judge(self._spec.triggers, readings, workload))
        for trigger in self._spec.triggers:
            if trigger.uses_cache:
                self._cached[trigger.index] = readings.get(trigger.key, ERROR)
        is_error = any(_is_error(signal) for signal in signals)
        is_active = self._is_active(signals, is_error)
        replicas, limit = self._scale(now, is_active, is_error, workload.spec)
        return Decision(None if replicas == workload.spec else replicas, limit, signals, is_active=is_active)

    def metrics(self, readings: Readings, workload: Workload) -> tuple[tuple[Metric, ...], tuple[Signal, ...]]:
        """What the HPA reads now, one metric per trigger or the composite, and what it is made of."""
        given = {**readings, **{self._spec.triggers[index].key: known for index, known in self._cached.items()}}
        signals = tuple(self._judge(self._spec.triggers, given, workload))
        modifiers = self._spec.modifiers
        if modifiers:
            return (self._composite(modifiers, signals),), signals
        pairs = zip(self._spec.triggers, signals, strict=True)
        return tuple(_plain(trigger, signal) for trigger, signal in pairs), signals

    def _judge(self, triggers: Iterable[Trigger], readings: Readings, workload: Workload) -> Iterable[Signal]:
        for trigger in triggers:
            yield self._health.judge(trigger, readings.get(trigger.key, ERROR), workload)

    def _is_active(self, signals: Sequence[Signal], is_error: bool) -> bool:
        modifiers = self._spec.modifiers
        if modifiers is None:
            pairs = zip(self._spec.triggers, signals, strict=True)
            return any(_exceeds(signal, trigger.activation_threshold) for trigger, signal in pairs)
        if is_error:
            return False
        value = self._composite(modifiers, signals).value_milli
        return value is not None and approximate(value) > modifiers.activation_target

    def _composite(self, modifiers: Modifiers, signals: Sequence[Signal]) -> Metric:
        target = truncated(modifiers.target * 1000)
        blank = Metric(COMPOSITE, modifiers.metric_type, target, None)
        # A trigger in fallback stands for the whole: its value already is the fallback's replicas times the target.
        for signal in signals:
            if signal.is_fallback and signal.value is not None:
                value = round(signal.value * 1000)
                return blank._replace(value_milli=value, is_fallback=True, why=f"fallback of {signal.key}")
        if failed := [signal.key for signal in signals if _is_error(signal)]:
            return blank._replace(why=f"{', '.join(failed)} could not be read")
        values = {signal.key: _in_formula(signal) for signal in signals}
        try:
            result = modifiers.formula.evaluate(values)
        except FormulaError as error:
            return blank._replace(why=f"formula: {error}")
        if result is not None:
            return blank._replace(value_milli=truncated(result * 1000))
        replicas = self._spec.fallback.replicas if self._spec.fallback else 0
        pretended = truncated(modifiers.target * 1000 * replicas)
        return blank._replace(value_milli=pretended, is_fallback=True, why="the formula's result is nil")

    def _scale(self, now: float, is_active: bool, is_error: bool, current: int) -> tuple[int | None, Limit]:
        spec = self._spec
        least, idle = spec.min_replicas or 0, spec.idle_replicas
        if is_active:
            if current == 0 or (idle is not None and current < least):
                self.last_active = now
                return max(1, least), "ScalerActive"
            if is_error:
                return None, "PartialTriggerError"
            self.last_active = now
            return None, "ScalerActive"
        if is_error and spec.fallback is not None and spec.fallback.replicas != 0:
            return None, "AwaitsFallback"
        if is_error and spec.fallback is None:
            return None, "TriggerError"
        if (idle is not None and current > idle) or (current > 0 and least == 0):
            return self._leave(now, least if idle is None else idle)
        return (least if idle is None and current < least else None), "ScalerNotActive"

    def _leave(self, now: float, replicas: int) -> tuple[int | None, Limit]:
        spec = self._spec
        if self.last_active is None:
            until = self._created + spec.initial_cooldown_seconds
        else:
            until = self.last_active + spec.cooldown_seconds
        return (replicas, "ScalerNotActive") if now > until else (None, "ScalerCooldown")


def _is_error(signal: Signal) -> bool:
    return signal.value is None and not signal.is_nil


def _exceeds(signal: Signal, threshold: float) -> bool:
    return signal.value is not None and (signal.is_fallback or signal.value > threshold)


def _in_formula(signal: Signal) -> float | None:
    return None if signal.value is None else approximate(milli(signal.value))


def _plain(trigger: Trigger, signal: Signal) -> Metric:
    blank = Metric(trigger.metric, trigger.metric_type, milli(trigger.threshold), None)
    if signal.value is None:
        return blank._replace(why=f"{trigger.key} could not be read")
    if signal.is_fallback:
        return blank._replace(value_milli=round(signal.value * 1000), is_fallback=True, why="fallback")
    return blank._replace(value_milli=milli(signal.value))
