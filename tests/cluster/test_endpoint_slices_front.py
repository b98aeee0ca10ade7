"""A real front in a pod finds its cells by their Service alone, and nobody notices that they are replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.front.keys import mint
from tests.cluster.chatters import Chat, Chatters
from tests.cluster.kube import Kube, Obj, until
from tests.cluster.scripted_cells import cells, reader, remove_cells
from tests.cluster.tool import is_inside
from tests.support.tiers import require

_ACCOUNT = "lonely-front"
_KEY = mint()


@pytest.fixture
def front(kube: Kube, tmp_path: Path) -> Iterator[Callable[[], Obj]]:
    """A front in a pod of its own account; called, it is read anew."""
    require("the cluster tool, where pods can be reached from outside", is_inside())
    reader(kube, _ACCOUNT, tmp_path)
    args = ["--endpoint-slices", "llama:http", "--api-key", _KEY, "--store", "sqlite:////tmp/front.db"]
    container = {
        "name": "front",
        "image": "tidegate/front:test",
        "args": args,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9000}, "periodSeconds": 1},
    }
    spec = {"serviceAccountName": _ACCOUNT, "enableServiceLinks": False, "containers": [container]}
    kube.core.create_namespaced_pod(kube.namespace, {"metadata": {"name": _ACCOUNT}, "spec": spec})
    cells(kube, "llama", replicas=2)
    yield lambda: kube.core.read_namespaced_pod(_ACCOUNT, kube.namespace)
    kube.core.delete_namespaced_pod(_ACCOUNT, kube.namespace)
    remove_cells(kube, "llama")


def test_a_front_in_a_pod_cuts_no_chat_while_its_cells_are_replaced(kube: Kube, front: Callable[[], Obj]) -> None:
    until("a front that has its cells", lambda: _is_ready(front()) and kube.replicas("llama") == (2, 2), 90)
    chat = Chat(f"http://{front().status.pod_ip}:8000", _KEY, "llama", output_tokens=60)
    with Chatters(chat, 8) as chatters:
        time.sleep(2)
        before = {pod.metadata.name for pod in _cells(kube)}
        kube.apps.patch_namespaced_deployment(
            "llama", kube.namespace, {"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}}
        )
        until("two new cells", lambda: len(_cells(kube)) == 2 and not before & _ready_names(kube), 90)
        time.sleep(2)
        answers = chatters.end()
    print(f"rolling replacement of both cells: {answers}")
    assert set(answers.ended) == {"whole"}
    assert answers.ended["whole"] > 20


def _cells(kube: Kube) -> list[Obj]:
    return [pod for pod in kube.pods("engine") if pod.metadata.labels["app.kubernetes.io/name"] == "llama"]


def _ready_names(kube: Kube) -> set[str]:
    return {pod.metadata.name for pod in _cells(kube) if _is_ready(pod)}


def _is_ready(pod: Obj) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
