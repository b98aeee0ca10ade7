"""A probe within real locust processes: alone, spread, with the web UI; what comes back is the same whole."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from loadtest.plan import Lengths, Plan, Target, TrafficClass, Turns, Workload
from loadtest.slo import Fault
from tests.support.load_echo import EchoServer
from tests.support.load_locust import Left, ended, locust
from tests.support.ports import free_port
from tests.support.waiting import eventually

MakePlan = Callable[..., Plan]
Start = Callable[..., subprocess.Popen[str]]

_TRAFFIC = TrafficClass(
    input=Lengths(median=20, sigma=0.5),
    output=Lengths(median=4, sigma=0.5),
    turns=Turns(mean=2, high=3, think_median_seconds=0.2),
)


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as running:
        yield running


@pytest.fixture
def plan(server: EchoServer, tmp_path: Path) -> MakePlan:
    """`plan(name, …)`: 40 requests a second for 3 s, its results in a folder of that name."""

    def make(name: str, **more: object) -> Plan:
        fixed = {"rates": (40.0,), "probe_seconds": 3.0, "warmup_seconds": 0.0, "max_in_flight": 50, "seed": 7}
        workload = Workload(classes=(_TRAFFIC,))
        target = Target(base_url=server.url, model="echo")
        return Plan.model_validate(
            {"targets": (target,), "workload": workload, "out": tmp_path / name, **fixed, **more}
        )

    return make


@pytest.fixture
def start() -> Iterator[Start]:
    """`locust`, whose processes do not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: object, **options: object) -> subprocess.Popen[str]:
        started.append(locust(*args, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_spread_over_processes_it_is_the_run_that_one_makes(plan: MakePlan, start: Start) -> None:
    alone, spread = plan("alone"), plan("spread")
    assert ended(start(alone, "--headless"))[0] == 0
    assert ended(start(spread, *_spread()))[0] == 0
    one, two = Left.by(alone), Left.by(spread)
    assert _asked(one) == _asked(two)
    assert len(_asked(one)) > 30
    assert one.told["lags"] > 0
    assert two.told["lags"] > 1.5 * one.told["lags"]


def test_a_master_and_workers_that_are_started_apart(plan: MakePlan, start: Start) -> None:
    asked, port = plan("apart"), str(free_port())
    workers = [start(asked, "--worker", "--master-port", port) for _ in range(2)]
    flags = ("--headless", "--master", "--master-bind-port", port, "--expect-workers", "2")
    code, said = ended(start(asked, *flags))
    assert code == 0, said
    assert [ended(worker)[0] for worker in workers] == [0, 0]
    sessions = Left.by(asked).rows["session"]
    assert {0, 1} == set((sessions % 2).tolist())
    assert sorted(set(sessions.tolist())) == list(range(sessions.max() + 1))


def test_a_worker_that_dies_ends_the_run_with_the_reason(plan: MakePlan, start: Start, server: EchoServer) -> None:
    asked, port = plan("killed", probe_seconds=60.0), str(free_port())
    workers = [start(asked, "--worker", "--master-port", port) for _ in range(2)]
    flags = ("--headless", "--master", "--master-bind-port", port, "--expect-workers", "2")
    master = start(asked, *flags)
    eventually(lambda: len(server.requests) > 20, 30)
    workers[0].kill()
    code, said = ended(master, 30)
    assert code == 3, said
    assert "is gone, and its share of the arrivals with it" in said
    assert ended(workers[1])[0] == 0
    workers[0].communicate()


def test_without_a_worker_that_was_told_to_quit_no_run_is_whole(
    plan: MakePlan, start: Start, server: EchoServer
) -> None:
    asked, port = plan("quit", probe_seconds=60.0), str(free_port())
    workers = [start(asked, "--worker", "--master-port", port) for _ in range(2)]
    flags = ("--headless", "--master", "--master-bind-port", port, "--expect-workers", "2")
    master = start(asked, *flags)
    eventually(lambda: len(server.requests) > 20, 30)
    workers[0].terminate()
    code, said = ended(master, 30)
    assert code == 3, said
    assert "its share of the arrivals with it" in said
    assert [ended(worker)[0] for worker in workers] == [0, 0]


def test_a_stall_of_two_seconds_counts_from_the_schedule(plan: MakePlan, server: EchoServer, start: Start) -> None:
    server.stall = (0.5, 2.5)
    asked = plan("stall", workload=Workload(classes=(_TRAFFIC.model_copy(update={"turns": Turns()}),)))
    assert ended(start(asked, "--headless"))[0] == 0
    left = Left.by(asked)
    found, began = left.rows, left.rows["sent"][0]
    held = (found["scheduled"] > began + 0.55) & (found["scheduled"] < began + 2.4)
    assert held.sum() > 40
    np.testing.assert_allclose(
        (found["first"] - found["scheduled"])[held], (began + 2.5 - found["scheduled"])[held], atol=0.5
    )
    assert max(left.told["in_flight"]) > 20


def test_a_watcher_ends_a_probe_early(plan: MakePlan, server: EchoServer, start: Start) -> None:
    server.answer_seconds = 60
    asked = plan("early", probe_seconds=60.0, search={"max_probes": 3})
    assert ended(start(asked, *_spread()))[0] == 0
    left = Left.by(asked)
    assert left.told["ended_early"] == "long enough"
    assert 3 < left.told["seconds"] < 10
    assert set(left.rows["fault"].tolist()) == {Fault.CUT}


def test_a_run_starts_and_ends_from_the_web_ui_which_stays(plan: MakePlan, start: Start) -> None:
    asked, port = plan("web"), free_port()
    process = start(asked, "--web-host", "127.0.0.1", "--web-port", str(port))
    try:
        for _ in range(2):
            _post(port, "/swarm", b"user_count=50&spawn_rate=50")
            eventually(lambda: (asked.out / "run.json").exists(), 30)
            eventually(lambda: _stats(port)["state"] in ("stopped", "ready"), 30)
            assert len(Left.by(asked).rows) > 80
            (asked.out / "run.json").unlink()
        assert {entry["method"] for entry in _stats(port)["stats"]} >= {"TTFT", "TPOT", "E2E"}
    finally:
        process.terminate()
        ended(process)


def test_a_run_that_is_stopped_in_the_web_ui_is_no_result(plan: MakePlan, start: Start) -> None:
    asked, port = plan("stopped", probe_seconds=60.0), free_port()
    process = start(asked, "--web-host", "127.0.0.1", "--web-port", str(port))
    try:
        _post(port, "/swarm", b"user_count=50&spawn_rate=50")
        eventually(lambda: _stats(port)["user_count"] == 50, 30)
        _post(port, "/stop", b"")
        time.sleep(1)
    finally:
        process.terminate()
        code, said = ended(process)
    assert code == 3
    assert "no verdict: locust was stopped" in said
    assert not (asked.out / "run.json").exists()


def test_without_a_plan_locust_does_not_start(plan: MakePlan, start: Start) -> None:
    process = start(plan("none"), "--headless", plan_json="")
    code, said = ended(process)
    assert code == 2
    assert "there is no plan: give --plan FILE" in said


def test_a_wrong_plan_is_named_by_its_field_and_no_value_is_shown(plan: MakePlan, start: Start) -> None:
    wrong = json.dumps({"targets": [{"base_url": "http://x", "api_key": "sk-secret", "modl": "m"}]})
    code, said = ended(start(plan("wrong"), "--headless", plan_json=wrong))
    assert code == 2
    assert "targets.0.modl: Extra inputs are not permitted" in said
    assert "sk-secret" not in said


def _spread() -> tuple[str, ...]:
    port = str(free_port())
    return ("--headless", "--processes", "2", "--master-bind-port", port, "--master-port", port)


def _asked(left: Left) -> set[tuple[int, ...]]:
    """What was asked and answered in the sessions that began early enough to end within any run."""
    rows = left.rows
    early = rows["session"][(rows["turn"] == 0) & (rows["scheduled"] < 1.2)]
    sure = rows[np.isin(rows["session"], early)]
    return {tuple(map(int, row)) for row in sure[["session", "turn", "prompt_tokens", "output_tokens", "fault"]]}


def _post(port: int, path: str, body: bytes) -> None:
    def sent() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=10).close()
        except OSError:
            return False
        return True

    eventually(sent, 30)


def _stats(port: int) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats/requests", timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
        return found
