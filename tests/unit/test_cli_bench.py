"""`tidegate bench` before locust: flags, files and assignments become a plan, or one line that names what is wrong."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from serving.cli import bench
from serving.cli.bench_plan import planned
from serving.errors import SettingsError

SERVER = ["--base-url", "http://127.0.0.1:9/v1", "--model", "tiny"]


def plan(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    bench.add(parser.add_subparsers())
    found: dict[str, Any] = json.loads(planned(parser.parse_args(["bench", *arguments]), environ or {}))
    return found


def test_a_preset_is_its_traffic_and_its_slo() -> None:
    chat, code = plan("goodput", *SERVER), plan("goodput", *SERVER, "--preset", "code")

    assert [chat["workload"]["classes"][0]["slo"], code["workload"]["classes"][0]["slo"]] == ["chat", "code"]


def test_flags_win_over_the_file_and_assignments_over_both(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("probe_seconds: 20\nseed: 7\ngrace_seconds: 3\n")

    found = plan("goodput", *SERVER, "--plan", str(file), "--seed", "8", "--set", "grace_seconds=4")

    assert (found["probe_seconds"], found["seed"], found["grace_seconds"]) == (20, 8, 4)


def test_an_assignment_reaches_into_lists() -> None:
    found = plan("goodput", *SERVER, "--set", "workload.classes.0.ttft_seconds=1.5")

    assert found["workload"]["classes"][0]["ttft_seconds"] == 1.5


def test_the_key_travels_with_the_plan_and_the_variable_is_its_default() -> None:
    found = plan("goodput", *SERVER, environ={"OPENAI_API_KEY": "sk-1"})

    assert found["targets"][0]["api_key"] == "sk-1"


def test_ab_has_two_servers_and_the_second_may_have_a_key_of_its_own() -> None:
    against = ["--against", "http://127.0.0.1:9/v1", "--against-model", "b", "--against-api-key", "k"]

    found = plan("ab", *SERVER, *against)

    assert [target["name"] for target in found["targets"]] == ["A", "B"]
    assert (found["targets"][1]["model"], found["targets"][1]["api_key"]) == ("b", "k")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--preset", "chatty"], "--preset"),
        (["--set", "search.max_probez=3"], "search.max_probez"),
        (["--set", "probe_seconds"], "probe_seconds"),
        (["--set", "workload.classes.7.weight=1"], "workload.classes.7.weight"),
        (["--seconds", "-1"], "probe_seconds"),
        (["--plan", "/nowhere.yaml"], "--plan"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        plan("goodput", *SERVER, *arguments)


def test_without_a_server_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tidegate up"):
        plan("goodput", environ={"XDG_STATE_HOME": str(tmp_path)})
