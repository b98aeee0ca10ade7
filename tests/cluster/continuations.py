"""What became of the streams that broke, as a release's cells and its fronts tell it; it breaks none."""

from __future__ import annotations

from collections import Counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.kube import Kube

_SERIES = "tidegate_continuations_total"
_GOES_ON = "goes on after "


def gone_on(kube: Kube) -> int:
    """How often the cells that are there were asked to go on with an answer (scripted_cell.py says so in its log)."""
    return sum(kube.log(pod.metadata.name).count(_GOES_ON) for pod in kube.pods("engine"))


def breaks(kube: Kube) -> Counter[str]:
    """By what became of them, of all fronts since they began. Fronts have to be reachable by their address."""
    counted: Counter[str] = Counter()
    for pod in kube.pods("front"):
        told = httpx.get(f"http://{pod.status.pod_ip}:9000/metrics", timeout=10).text
        for family in text_string_to_metric_families(told):
            for sample in family.samples:
                if sample.name == _SERIES:
                    counted[sample.labels["outcome"]] += int(sample.value)
    return +counted
