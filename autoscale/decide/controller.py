"""KEDA and the HPA over one workload, driven by time; who writes the replica counts down and when is the caller's."""

from __future__ import annotations

from autoscale.decide.decision import Decision
from autoscale.decide.reading import Readings, Workload
from autoscale.decide.spec import HpaSettings, ScaledObject


class Controller:
    """The state of one ScaledObject. Times in seconds never go back.

    `poll` every `spec.polling_seconds`, `sync` every 15 s (the HPA's own period); write `Decision.replicas`, where it
    is not None, to the workload. Readings are asked for anew at each.
    """

    def __init__(self, spec: ScaledObject, settings: HpaSettings | None = None, created: float = 0.0) -> None:
        self.spec = spec

    def poll(self, now: float, readings: Readings, workload: Workload) -> Decision:
        """KEDA: from none to some and back, the minimum. From 1 on the count is the HPA's business."""
        raise NotImplementedError

    def sync(self, now: float, readings: Readings, workload: Workload) -> Decision:
        """The HPA, which reads its metrics from KEDA."""
        raise NotImplementedError
