"""What deletion costs are written, and how few of them; tests/cluster has the same against a real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from autoscale.deletion_cost import run, update
from autoscale.deletion_load import requests_in_hand
from autoscale.deletion_pods import Pod, PodsUnknown


@dataclass
class KeptPods:
    """Pods in memory: a write is seen at the next look."""

    pods: dict[str, Pod] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    trouble: str | None = None

    def add(self, name: str, *, is_ready: bool = True, address: str | None = "", cost: str | None = None) -> None:
        self.pods[name] = Pod(name, name if address == "" else address, is_ready, cost)

    def list(self) -> list[Pod]:
        if self.trouble:
            raise PodsUnknown(self.trouble)
        return list(self.pods.values())

    def write(self, pod: Pod, cost: str) -> None:
        self.writes.append((pod.name, cost))
        self.pods[pod.name] = pod._replace(cost=cost)

    def order(self) -> list[str]:
        """Who leaves first, as the ReplicaSet controller sorts: no annotation counts as 0."""
        return sorted(self.pods, key=lambda name: int(self.pods[name].cost or 0))


def test_the_emptiest_leaves_first_and_the_unready_before_it() -> None:
    pods = KeptPods()
    loads = {"busy": 40, "some": 5, "empty": 0, "one": 1}
    for name in loads:
        pods.add(name)
    pods.add("loading", is_ready=False)
    pods.add("pending", is_ready=False, address=None)
    update(pods, loads.get)
    assert set(pods.order()[:2]) == {"loading", "pending"}
    assert pods.order()[2:] == ["empty", "one", "some", "busy"]


def test_a_load_that_moves_within_its_power_of_two_is_not_written_again() -> None:
    pods = KeptPods()
    pods.add("cell")
    loads = [8, 9, 15, 12, 16, 31, 17, 7]
    written = [update(pods, {"cell": load}.get) for load in loads]
    assert written == [1, 0, 0, 0, 1, 0, 0, 1]


def test_a_ready_pod_that_does_not_tell_keeps_what_it_has() -> None:
    pods = KeptPods()
    pods.add("silent", cost="4")
    pods.add("new")
    assert update(pods, lambda _: None) == 0


def test_trouble_with_the_cluster_is_said_once_and_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    pods = KeptPods(trouble="the cluster refuses (403) to list pods")
    pods.add("cell")
    stop = threading.Event()
    running = threading.Thread(target=run, args=(pods, lambda _: 3, 0.01, stop))
    running.start()
    stop.wait(0.2)
    pods.trouble = None
    stop.wait(0.2)
    stop.set()
    running.join(2)
    assert not running.is_alive()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the cluster refuses (403) to list pods"
    ]
    assert pods.writes == [("cell", "2")]


@pytest.fixture
def exposition() -> Iterator[dict[str, object]]:
    """A server whose /metrics is `text`, on `port`."""
    said: dict[str, object] = {"text": "", "status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(str(said["status"])))
            self.end_headers()
            self.wfile.write(str(said["text"]).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said["port"] = server.server_port
    yield said
    server.shutdown()
    server.server_close()


_TEXT = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="tiny"} 4.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 4.0
"""


def test_running_and_waiting_requests_of_all_replicas_count(exposition: dict[str, object]) -> None:
    exposition["text"] = _TEXT
    ask = partial(requests_in_hand, "127.0.0.1", timeout_seconds=2)
    assert ask([exposition["port"]]) == 9
    assert ask([exposition["port"], exposition["port"]]) == 18


@pytest.mark.parametrize("answer", [{"status": 500}, {"text": "up 1\n"}, {"text": "not { metrics"}])
def test_a_pod_that_does_not_tell_is_not_empty(exposition: dict[str, object], answer: dict[str, object]) -> None:
    exposition.update(answer)
    assert requests_in_hand("127.0.0.1", [exposition["port"]], 2) is None
    assert requests_in_hand("127.0.0.1", [1], 2) is None
