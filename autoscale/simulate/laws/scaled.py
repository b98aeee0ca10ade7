"""A ScaledObject as a law: KEDA's and the HPA's arithmetic on what the simulated Prometheus answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscale.decide.controller import Controller
from autoscale.decide.decision import Decision as Decided
from autoscale.decide.read import read
from autoscale.decide.reading import ERROR, Answer, Readings, Workload, answer
from autoscale.decide.spec import Trigger
from autoscale.simulate.laws.law import Ask, Decision
from autoscale.simulate.prometheus import Unreachable
from autoscale.simulate.world import Pods


class Scaled:
    """One run's. Every poll and sync asks anew."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name = name
        self._spec = read(document)
        self._controller = Controller(self._spec)

    @property
    def poll_seconds(self) -> float:
        return self._spec.polling_seconds

    def poll(self, now: float, pods: Pods, ask: Ask) -> int | None:
        return self._controller.poll(now, self._readings(ask), _workload(pods)).replicas

    def sync(self, now: float, pods: Pods, ask: Ask) -> Decision:
        decided = self._controller.sync(now, self._readings(ask), _workload(pods))
        readings = {signal.key: signal.value for signal in decided.signals}
        changes = decided.replicas is not None and decided.replicas != pods.wanted
        return Decision(decided.replicas, readings, self._why(decided, readings) if changes else "")

    def _readings(self, ask: Ask) -> Readings:
        return {trigger.key: _answer(trigger, ask) for trigger in self._spec.triggers}

    def _why(self, decided: Decided, readings: Mapping[str, float | None]) -> str:
        """With a formula: the trigger without which it asks for fewest. Else: the one that asks for most."""
        if self._spec.modifiers is None:
            asked = {proposal.metric.name: proposal.replicas or 0 for proposal in decided.proposals}
            most = max(self._spec.triggers, key=lambda trigger: asked.get(trigger.metric, 0))
            return most.key
        known = {key: value for key, value in readings.items() if value is not None}
        formula = self._spec.modifiers.formula
        if len(known) < len(readings):
            return decided.limit
        without = {key: formula.evaluate({**known, key: 0.0}) for key in known}
        least = {key: value for key, value in without.items() if value is not None}
        return min(least, key=lambda key: least[key]) if least else decided.limit


def _answer(trigger: Trigger, ask: Ask) -> Answer:
    try:
        return answer(ask(trigger.query))
    except Unreachable:
        return ERROR


def _workload(pods: Pods) -> Workload:
    return Workload(spec=pods.wanted, status=pods.existing, ready=pods.ready)
