"""`tidegate bench` as its user runs it: a real locust against an engine whose counters tell what it served."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.knee_engine import flags
from bench.knee_model import Profile
from serving.cli.probe import get
from tests.support.ports import free_port
from tests.support.waiting import eventually

QUICK = Profile(base_seconds=0.002, per_sequence_seconds=0.0, max_num_seqs=4)
SHORT = ["--seconds", "3", "--set", "search.min_requests=0", "--set", "workload.classes.0.output.median=8"]


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The origin of a knee engine."""
    port = free_port()
    command = [sys.executable, "-m", "bench.knee_engine", "--port", str(port), *flags(QUICK)]
    with subprocess.Popen(command) as process:
        origin = f"http://127.0.0.1:{port}"
        eventually(lambda: get(f"{origin}/v1/models") is not None)
        yield origin
        process.terminate()


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.cli", "bench", *arguments, "--out", str(folder), *SHORT]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def at(origin: str) -> list[str]:
    return ["--base-url", f"{origin}/v1", "--engine-url", origin]


def result_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_a_curve_leaves_every_report_and_its_rows_are_what_the_engine_counted(engine: str, tmp_path: Path) -> None:
    done = bench(tmp_path, "curve", *at(engine), "--rates", "5,20")

    result = result_in(tmp_path)
    assert [probe["offered_rate"] for probe in result["probes"]] == [5, 20]
    assert result["crosscheck"]["checked"], done.stderr
    assert all(entry["holds"] for entry in result["crosscheck"]["entries"]), result["crosscheck"]
    with (tmp_path / "requests.csv").open() as file:
        rows = list(csv.DictReader(file))
    served = next(entry for entry in result["crosscheck"]["entries"] if "output tokens" in entry["what"])
    assert sum(int(row["output_tokens"]) for row in rows) == served["server"]
    assert "Goodput curve" in (tmp_path / "report.html").read_text()


def test_json_prints_the_result_and_a_gate_that_is_missed_fails_the_run(engine: str, tmp_path: Path) -> None:
    done = bench(tmp_path, "curve", *at(engine), "--rates", "10", "--min-goodput", "1000000", "--json")

    assert json.loads(done.stdout)["probes"] == result_in(tmp_path)["probes"]
    assert done.returncode in (1, 3)  # 3 where this machine was too busy for a verdict
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.findall(".//failure")


def test_a_run_with_two_processes_offers_the_same_schedule(engine: str, tmp_path: Path) -> None:
    for name, more in (("one", []), ("two", ["--processes", "2"])):
        bench(tmp_path / name, "curve", *at(engine), "--rates", "20", *more)
    one, two = (result_in(tmp_path / name)["probes"][0] for name in ("one", "two"))

    assert one["scheduled_rate"] == two["scheduled_rate"] > 0
    assert sum(one["outcomes"].values()) == sum(two["outcomes"].values())


def test_two_servers_get_the_same_schedules_in_turn(engine: str, tmp_path: Path) -> None:
    bench(tmp_path, "ab", *at(engine), "--against", f"{engine}/v1", "--against-engine-url", engine, "--rates", "10")

    result = result_in(tmp_path)
    assert [probe["target"] for probe in result["probes"]] == [0, 1, 1, 0] * 3
    scheduled = [probe["scheduled_rate"] for probe in result["probes"]]
    assert scheduled[0::2] == scheduled[1::2]
    assert result["paired"]["pairs"] > 0


def test_a_trace_is_replayed_at_its_own_times(engine: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    lines = [f"2023-11-16 18:17:{second:02d}.5000000,20,4" for second in (3, 4, 4, 6)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))

    bench(tmp_path, "replay", str(trace), *at(engine))

    with (tmp_path / "requests.csv").open() as file:
        assert [round(float(row["scheduled"]), 3) for row in csv.DictReader(file)] == [0, 1, 1, 3]


def test_a_server_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    done = bench(tmp_path, "goodput", "--base-url", f"http://127.0.0.1:{free_port()}/v1", "--model", "tiny")

    assert done.returncode == 2
    assert "connect" in done.stderr
    assert "Traceback" not in done.stderr


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A run that goes on; what it says is in `said`."""
    command = [sys.executable, "-m", "serving.cli", "bench", *arguments, "--out", str(folder), *SHORT]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)


def served(origin: str) -> float:
    """Answers that the engine has counted."""
    metrics = get(f"{origin}/metrics")
    lines = metrics.body.decode().splitlines() if metrics else []
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:request_success_total"))


def test_a_server_that_dies_mid_run_costs_errors_and_the_reports_come_all_the_same(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.knee_engine", "--port", str(port), *flags(QUICK)]) as engine:
        origin = f"http://127.0.0.1:{port}"
        eventually(lambda: get(f"{origin}/v1/models"))
        with started(tmp_path, "curve", *at(origin), "--rates", "20") as run:
            eventually(lambda: served(origin) > 40, within=60)
            engine.kill()
            assert run.wait(100) in (0, 3)

    outcomes = result_in(tmp_path)["probes"][0]["outcomes"]
    assert outcomes["good"] > 0
    assert outcomes["error"] > 0


def test_a_run_that_is_stopped_writes_what_it_measured(engine: str, tmp_path: Path) -> None:
    with started(tmp_path, "curve", *at(engine), "--rates", "20,20,20,20,20,20") as run:
        eventually(lambda: b"probe 1," in (tmp_path / "said").read_bytes(), within=60)
        run.send_signal(signal.SIGINT)
        assert run.wait(100) == 3

    assert 1 <= len(result_in(tmp_path)["probes"]) < 6
    assert result_in(tmp_path)["broken"]
