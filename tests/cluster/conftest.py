"""A cluster for the tests: whatever KUBECONFIG names. `make test-cluster` starts the tool's, where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import fast
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release
from tests.cluster.tool import cluster, is_inside

NAMESPACE = "default"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))
    # A lost node does not come back.
    items.sort(key=lambda item: item.path.name == "test_node_loss.py")


@pytest.fixture(scope="session")
def kube() -> Kube:
    if "KUBECONFIG" not in os.environ:
        pytest.skip("no cluster: KUBECONFIG is not set, and this is not `make test-cluster`")
    return Kube(NAMESPACE)


@pytest.fixture
def two_cells(kube: Kube) -> Iterator[Release]:
    """A release of scripted cells, two of them, always."""
    made = Release("charts/tidegate", fast.NAME, kube.namespace)
    made.install(fast.values(least=2, most=2))
    yield made
    made.uninstall()
    until("every pod has left", lambda: not kube.pods("engine") and not kube.pods("front"))


@pytest.fixture(autouse=True)
def nothing_was_refused(kube: Kube) -> Iterator[None]:
    """What a stand-in of the cluster tool does not know, it says; no test may pass with such a thing said."""
    yield
    if is_inside():
        cluster("problems")
