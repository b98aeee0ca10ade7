"""`tidegate doctor`."""

import json
import socket
from typing import Any

import pytest

from serving.cli import checks, machine, main


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["doctor", "--json", *arguments])
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] == (status == 0)
    return status, {check.pop("name"): check for check in report["checks"]}


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_every_finding_has_a_state_and_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = findings(capsys)

    assert {"settings", "python", "starlette", "torch", "ray", "gpu", "memory", "/dev/shm", "model"} <= set(found)
    for check in found.values():
        assert set(check) == {"state", "found", "fix"}
        assert check["state"] in ("ok", "note", "wrong")
        assert check["found"]
        assert check["fix"] or check["state"] != "wrong"


def test_a_wrong_setting_is_a_finding_and_the_other_checks_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = findings(capsys, "--set", "front.port=many")

    assert status == 1
    assert found["settings"]["state"] == "wrong"
    assert "front.port" in found["settings"]["found"]
    assert found["python"]["state"] == "ok"


def test_a_port_in_use_is_wrong_and_named_by_its_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        status, found = findings(capsys, "--set", f"front.port={server.getsockname()[1]}")

    assert status == 1
    assert found["front.port"]["state"] == "wrong"
    assert "front.port" in found["front.port"]["fix"]


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ({"starlette": "1.0.0"}, "wrong"),
        ({"starlette": "1.0.1"}, "ok"),
        ({"starlette": "1.10.0"}, "ok"),
        ({"starlette": None}, "wrong"),
        ({"ray": "2.51.9"}, "wrong"),
        ({"ray": "2.52.0"}, "ok"),
        ({"torch": "2.13.0+cpu"}, "ok"),
        ({"torch": None}, "wrong"),
    ],
)
def test_versions_below_the_security_floor_are_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None], state: str
) -> None:
    monkeypatch.setattr(machine, "installed", lambda name: versions.get(name, "99.0"))
    monkeypatch.setattr(machine, "gpus", list)

    _, found = findings(capsys)

    assert found[next(iter(versions))]["state"] == state


def test_a_gpu_with_only_the_cpu_build_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU 0: some card"])
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "vllm" else "99.0")

    assert findings(capsys)[1]["gpu"]["state"] == "wrong"


def test_little_memory_and_little_shared_memory_are_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: checks.GIB)
    monkeypatch.setattr(machine, "free_bytes", lambda _folder: 64 * 1024 * 1024)

    _, found = findings(capsys)

    assert found["memory"]["state"] == found["/dev/shm"]["state"] == "wrong"


def test_people_get_one_line_per_finding_with_its_fix_below(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--set", "front.port=many"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("WRONG  settings")
    assert "front.port" in lines[1]
