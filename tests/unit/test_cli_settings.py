"""`tidegate settings`, `--set`, and what a wrong setting does to a start."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from serving.cli import main
from serving.settings_sources import fields


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    assert main(["settings", "--json", *arguments]) == 0
    return {row["key"]: row for row in json.loads(capsys.readouterr().out)}


def test_json_lists_every_setting_with_its_value_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "--set", "front.port=8123")

    assert list(rows) == [key for key, *_ in fields()]
    assert rows["front.port"]["value"] == 8123
    assert rows["front.port"]["default"] == 8000
    assert rows["front.port"]["variable"] == "TIDEGATE_FRONT__PORT"


def test_set_beats_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_FRONT__PORT", "1")

    assert shown(capsys, "--set", "front.port=2")["front.port"]["value"] == 2


def test_set_reads_lists_and_single_entries_of_mappings(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(
        capsys, "--set", "front.engines=http://a,http://b", "--set", "engine.vllm_flags.max-num-seqs=4",
        "--set", "engine.vllm_flags.enable-lora=true",
    )  # fmt: skip

    assert rows["front.engines"]["value"] == ["http://a", "http://b"]
    assert rows["engine.vllm_flags"]["value"] == {"max-num-seqs": 4, "enable-lora": True}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_not_printed(capsys: pytest.CaptureFixture[str], form: list[str]) -> None:
    secrets = ["front.api_keys=hunter2", "front.engine_api_key=hunter2", "front.cache_salt_secret=hunter2"]
    assert main(["settings", *form, *(part for secret in secrets for part in ("--set", secret))]) == 0

    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("front.prot=1", "front.prot: no such setting; did you mean front.port?"),
        ("front.port=many", "front.port: "),
        ("front.port", "front.port: --set wants KEY=VALUE"),
        ("engine.vllm_flags.a={", "engine.vllm_flags.a: "),
    ],
)
def test_a_wrong_assignment_names_its_key(capsys: pytest.CaptureFixture[str], assignment: str, said: str) -> None:
    assert main(["settings", "--set", assignment]) == 2
    assert capsys.readouterr().err.startswith(f"tidegate: error: {said}")


@pytest.mark.parametrize("command", ["front", "up", "engine"])
def test_a_wrong_setting_stops_a_start_within_five_seconds(command: str, tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "serving.cli", command, "--set", "engine.drain.stream_seconds=-1"],
        capture_output=True, text=True, timeout=30, check=False, env={"XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip

    assert time.monotonic() - began < 5
    assert done.returncode == 2
    assert done.stderr.startswith("tidegate: error: engine.drain.stream_seconds: ")
    assert len(done.stderr.splitlines()) == 1


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys, serving.cli; assert not {'pydantic', 'yaml', 'uvicorn', 'ray', 'vllm', 'torch'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])

    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("tidegate 0.")
