"""The front's directory against a real API server: real slices, a service account of its own, real readiness."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from kubernetes import client

from serving.adapters.engines.directory import EngineDirectory
from serving.adapters.engines.http import EnginePool, Patience
from serving.adapters.kubernetes.access import Access
from serving.adapters.kubernetes.discovery import SliceDiscovery
from serving.front.route import Endpoint
from serving.settings import FrontSettings
from tests.cluster.kube import Kube, until
from tests.cluster.scripted_cells import GROUP, SLICES, cells, reader, remove_cells
from tests.cluster.tool import is_inside
from tests.support.tiers import require

_ACCOUNT = "slice-reader"


class Following:
    """A directory in a thread of its own, and when it published what."""

    def __init__(self, access: Access, *services: str) -> None:
        self.engines: dict[str, list[str]] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(access, services)))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread.start()

    def stop(self) -> None:
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    async def _run(self, access: Access, services: tuple[str, ...]) -> None:
        self._loop = asyncio.get_running_loop()
        pool = EnginePool(time.monotonic, Patience(2, 30, 30, 4), self._loop, None)
        settings = FrontSettings(engine_poll_seconds=30, endpoint_slices=services)
        directory = EngineDirectory(pool, settings, self._publish, SliceDiscovery(services, access))
        self._task = asyncio.create_task(directory.run())
        await asyncio.gather(self._task, return_exceptions=True)
        pool.close()

    def _publish(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.engines = {endpoint.url: list(endpoint.models) for endpoint in endpoints}


@pytest.fixture(scope="module")
def access(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Access:
    require("the cluster tool, where pods can be reached from outside", is_inside())
    return reader(kube, _ACCOUNT, tmp_path_factory.mktemp("account"))


@pytest.fixture
def following(access: Access) -> Iterator[Following]:
    one = Following(access, "qwen:http", "by-hand")
    yield one
    one.stop()


class HandMade:
    """EndpointSlices of a Service that selects nothing."""

    def __init__(self, kube: Kube) -> None:
        self._custom, self._namespace = client.CustomObjectsApi(), kube.namespace
        versions = [one.version for one in client.DiscoveryApi().get_api_group().versions]
        self._version = "v1" if "v1" in versions else versions[0]

    def put(self, name: str, address: str, **conditions: bool) -> None:
        body = {
            "apiVersion": f"{GROUP}/{self._version}",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "by-hand"}},
            "addressType": "IPv6" if ":" in address else "IPv4",
            "endpoints": [{"addresses": [address], "conditions": conditions}],
            "ports": [{"name": "http", "port": 30000, "protocol": "TCP"}],
        }
        self._custom.create_namespaced_custom_object(GROUP, self._version, self._namespace, SLICES, body)

    def change(self, name: str, address: str, **conditions: bool) -> None:
        patch = {"endpoints": [{"addresses": [address], "conditions": conditions}]}
        self._custom.patch_namespaced_custom_object(GROUP, self._version, self._namespace, SLICES, name, patch)

    def delete(self, name: str) -> None:
        self._custom.delete_namespaced_custom_object(GROUP, self._version, self._namespace, SLICES, name)


def test_slices_made_by_hand_are_followed(kube: Kube, following: Following) -> None:
    slices = HandMade(kube)
    spec = {"ports": [{"name": "http", "port": 30000, "protocol": "TCP"}], "clusterIP": "None"}
    kube.core.create_namespaced_service(kube.namespace, {"metadata": {"name": "by-hand"}, "spec": spec})
    # Addresses for documentation: nobody answers there.
    slices.put("by-hand-4", "192.0.2.1", ready=True)
    slices.put("by-hand-6", "2001:db8::1", ready=False)
    until("the ready one", lambda: set(following.engines) == {"http://192.0.2.1:30000"}, 5)
    slices.change("by-hand-6", "2001:db8::1", ready=True)
    until("both", lambda: set(following.engines) == {"http://192.0.2.1:30000", "http://[2001:db8::1]:30000"}, 5)
    slices.change("by-hand-4", "192.0.2.1", ready=False)
    until("the other one", lambda: set(following.engines) == {"http://[2001:db8::1]:30000"}, 5)
    slices.delete("by-hand-6")
    until("none", lambda: not following.engines, 5)
    slices.delete("by-hand-4")


def test_a_pod_serves_within_a_second_of_its_readiness_and_leaves_before_it_ends(
    kube: Kube, following: Following
) -> None:
    cells(kube, "qwen", replicas=1)
    until("a ready pod", lambda: kube.replicas("qwen") == (1, 1), 60)
    late = until("its engine", lambda: list(following.engines.values()) == [["qwen"]], 5)
    kube.scale("qwen", 0)
    leaving = until("no engine", lambda: not following.engines, 5)
    print(f"serves {late:.2f} s after readiness; gone {leaving:.2f} s after the scale-down")
    assert late < 1
    remove_cells(kube, "qwen")
