"""The small parts of a cell: its folder, its log reader, its refusal while draining, its tiny model's guard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from serving.engine.cell import gpus_per_replica
from serving.engine.device import Device
from serving.engine.draining import RefuseWhileDraining
from serving.engine.logs import last_step, root_cause
from serving.engine.session import require_free_ports, session
from serving.engine.tiny import MARKER, is_tiny_model, make_tiny_model
from serving.errors import EngineStartError, SettingsError
from serving.settings import EngineSettings


def test_two_cells_cannot_share_a_port(tmp_path: Path) -> None:
    with (
        session(30000, tmp_path),
        pytest.raises(EngineStartError, match="another cell runs on port 30000"),
        session(30000, tmp_path),
    ):
        pass


def test_a_session_starts_empty_and_leaves_logs_only_after_a_failure(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), session(1, tmp_path) as failed:
        failed.draining.touch()
        raise RuntimeError
    assert failed.draining.exists()
    with session(1, tmp_path) as clean:
        assert not clean.draining.exists()
    assert not clean.folder.exists()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineStartError, match=f"127.0.0.1:{port}"):
            require_free_ports("127.0.0.1", port, 1)


def test_the_log_tells_the_step_and_the_cause(tmp_path: Path) -> None:
    (tmp_path / "worker-1.out").write_text(
        "(EngineCore pid=7) INFO 11-24 15:30:01 [core.py:105] Loading weights\n"
        "(EngineCore pid=7) ERROR 11-24 15:30:02 [core.py:108] ValueError: no room for the KV cache\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert last_step(tmp_path) == "Loading weights"
    assert root_cause(tmp_path, "RuntimeError: x") == "ValueError: no room for the KV cache"


def test_a_complaint_about_a_setting_is_told_with_its_field(tmp_path: Path) -> None:
    report = (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for SchedulerConfig\n"
        "max_num_seqs\n  Input should be greater than or equal to 1 [type=greater_than_equal, input_value=0]\n"
        "    For further information visit a page\n"
    )
    assert root_cause(tmp_path, report) == "max_num_seqs: Input should be greater than or equal to 1"


def test_without_a_log_the_cause_is_serves(tmp_path: Path) -> None:
    report = "Traceback (most recent call last):\n  ...\nmodule.SomeError: it broke\n"
    assert root_cause(tmp_path, report) == "SomeError: it broke"


@pytest.mark.parametrize(
    ("draining", "method", "status"), [(True, "POST", 503), (True, "GET", 200), (False, "POST", 200)]
)
def test_only_new_work_is_refused_and_only_while_draining(
    tmp_path: Path, draining: bool, method: str, status: int
) -> None:
    if draining:
        (tmp_path / "draining").touch()
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    asked = RefuseWhileDraining(app, str(tmp_path / "draining"))({"method": method}, receive, send)
    asyncio.run(asked)
    assert sent[0]["status"] == status
    if status == 503:
        assert json.loads(sent[1]["body"])["error"]["code"] == "draining"


def test_a_foreign_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(SettingsError, match="not empty"):
        make_tiny_model(tmp_path, print)


def test_an_existing_tiny_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"version": 1, "dtype": "float32"}')
    said: list[str] = []
    make_tiny_model(tmp_path, said.append)
    assert said == [f"{tmp_path} already holds the tiny model"]
    assert is_tiny_model(tmp_path)
    assert not is_tiny_model(tmp_path, "bfloat16")


@pytest.mark.parametrize(
    ("nodes", "device", "gpus"), [(None, "cuda", 16), (1, "cuda", 16), (2, "cuda", 8), ("4", "cuda", 4), (2, "cpu", 0)]
)
def test_a_replica_takes_the_gpus_of_its_own_node_only(nodes: Any, device: Device, gpus: int) -> None:
    flags = {} if nodes is None else {"nnodes": nodes}
    settings = EngineSettings(tensor_parallel_size=8, pipeline_parallel_size=2, vllm_flags=flags)
    assert gpus_per_replica(settings, device) == gpus


def test_gpus_that_nodes_cannot_share_evenly_are_refused() -> None:
    settings = EngineSettings(tensor_parallel_size=2, pipeline_parallel_size=2, vllm_flags={"nnodes": 3})
    with pytest.raises(SettingsError, match=r"nnodes.*4 GPUs.*3 nodes"):
        gpus_per_replica(settings, "cuda")
