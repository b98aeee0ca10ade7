"""The cluster itself: what every other test here rests on."""

from __future__ import annotations

from tests.cluster.kube import Kube


def test_the_cluster_schedules_gpus_and_knows_keda(kube: Kube) -> None:
    nodes = kube.core.list_node().items
    assert sum(int(node.status.allocatable.get("nvidia.com/gpu", 0)) for node in nodes) > 0
    assert kube.scaled_objects() == []
