"""The emptiest pod of a real Deployment gets the lowest deletion cost, and leaves first where Kubernetes reads it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kubernetes import client

from tests.cluster.kube import Kube, Obj, until
from tests.cluster.scripted_cells import cells, remove_cells
from tests.cluster.tool import is_inside
from tests.support.tiers import require

_COST = "controller.kubernetes.io/pod-deletion-cost"
_NAME = "costly"


@pytest.fixture
def three(kube: Kube) -> Iterator[list[Obj]]:
    """The pods of a Deployment of three cells."""
    require("the cluster tool, where pods can be reached from outside", is_inside())
    cells(kube, _NAME, replicas=3)
    until("three ready pods", lambda: kube.replicas(_NAME) == (3, 3), 60)
    yield _pods(kube)
    remove_cells(kube, _NAME)


def test_the_emptiest_pod_is_the_cheapest_and_what_did_not_change_is_not_written(kube: Kube, three: list[Obj]) -> None:
    empty, some, busy = three
    streams = [_stream(pod, 3000) for pod, count in ((some, 2), (busy, 5)) for _ in range(count)]
    update(kube)
    first = {pod.metadata.name: pod for pod in _pods(kube)}
    costs = [first[pod.metadata.name].metadata.annotations[_COST] for pod in (empty, some, busy)]
    assert costs == ["0", "2", "3"]

    update(kube)
    again = {pod.metadata.name: pod.metadata.resource_version for pod in _pods(kube)}
    assert again == {name: pod.metadata.resource_version for name, pod in first.items()}

    kube.scale(_NAME, 2)
    until("two pods", lambda: len(_pods(kube)) == 2, 30)
    left = {pod.metadata.name for pod in _pods(kube)}
    print(f"Kubernetes {_version()}: {'the emptiest' if empty.metadata.name not in left else 'another'} left")
    if _version() >= (1, 22):
        assert left == {some.metadata.name, busy.metadata.name}
    for stream in streams:
        stream.close()


def update(kube: Kube) -> None:
    command = [sys.executable, "-m", "autoscale.deletion_cost", "--namespace", kube.namespace, "--once"]
    command += ["--selector", f"app.kubernetes.io/name={_NAME}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=60)
    assert done.returncode == 0, done.stderr


def _pods(kube: Kube) -> list[Obj]:
    return [pod for pod in kube.pods("engine") if pod.metadata.labels["app.kubernetes.io/name"] == _NAME]


def _stream(pod: Obj, tokens: int) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(pod.status.pod_ip, 30000, timeout=60)
    body = {"model": _NAME, "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    return response


def _version() -> tuple[int, int]:
    version = client.VersionApi().get_code()
    return int(version.major), int(version.minor.rstrip("+"))
