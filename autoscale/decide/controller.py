"""KEDA and the HPA over one workload, driven by time; who writes the replica counts down and when is the caller's."""

from __future__ import annotations

from autoscale.decide.decision import Decision
from autoscale.decide.hpa import Hpa
from autoscale.decide.keda import Keda
from autoscale.decide.reading import Readings, Workload
from autoscale.decide.spec import HpaSettings, ScaledObject


class Controller:
    """The state of one ScaledObject. Times in seconds never go back.

    `poll` every `spec.polling_seconds`, `sync` every 15 s (the HPA's own period); write `Decision.replicas`, where it
    is not None, to the workload. Readings are asked for anew at each.
    """

    def __init__(self, spec: ScaledObject, settings: HpaSettings | None = None, created: float = 0.0) -> None:
        self.spec = spec
        self._keda = Keda(spec, created)
        self._hpa = Hpa(spec, settings)

    def poll(self, now: float, readings: Readings, workload: Workload) -> Decision:
        """KEDA: from none to some and back, the minimum. From 1 on the count is the HPA's business."""
        return self._keda.poll(now, readings, workload)

    def sync(self, now: float, readings: Readings, workload: Workload) -> Decision:
        """The HPA, which reads its metrics from KEDA."""
        if not self._hpa.needs_metrics(workload.spec):
            return self._hpa.sync(now, (), workload)
        metrics, signals = self._keda.metrics(readings, workload)
        return self._hpa.sync(now, metrics, workload)._replace(signals=signals)
