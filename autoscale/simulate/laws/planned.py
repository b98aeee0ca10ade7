"""Laws that follow a plan whatever is measured: the oracle's, and a fleet of the peak's size."""

from __future__ import annotations

from dataclasses import dataclass

from autoscale.simulate.laws.law import Ask, Decision
from autoscale.simulate.oracle import Plan
from autoscale.simulate.world import Pods


@dataclass(frozen=True)
class Planned:
    """Replicas by time."""

    name: str
    plan: Plan
    poll_seconds: float = 30.0

    def poll(self, now: float, pods: Pods, ask: Ask) -> int | None:  # noqa: ARG002
        return None

    def sync(self, now: float, pods: Pods, ask: Ask) -> Decision:  # noqa: ARG002
        return Decision(self.plan.at(now), why="plan")
