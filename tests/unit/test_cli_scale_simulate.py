"""`tidegate scale simulate` from outside: a table, a page and data; what is wrong is said before anything runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoscale.engine_profile import ASSUMED_H100_8B
from serving.cli import main

SHORT = ["--trace", "ramp", "--hours", "0.2", "--replicas", "1", "--cold-start", "30"]


def test_the_table_has_every_law_best_first_and_the_files_have_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, data = tmp_path / "laws.html", tmp_path / "laws.json"
    laws = ["--law", "static-peak", "--law", "tidegate"]
    assert main(["scale", "simulate", *SHORT, *laws, "--out", str(page), "--json", str(data)]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()[2:-1]]
    scores = [float(row[1]) for row in rows]
    assert {row[0] for row in rows} == {"static-peak", "tidegate", "oracle"}
    assert scores == sorted(scores, reverse=True)
    assert out.splitlines()[-1] == f"{page} draws it"
    assert [line.split("]")[0] for line in err.splitlines() if line.startswith("[")] == ["[1/3", "[2/3", "[3/3"]
    tree = json.loads(data.read_text(encoding="utf-8"))
    assert {run["law"]: f"{run['totals']['attainment']:.1%}" for run in tree["runs"]} == {
        row[0]: row[2] for row in rows
    }
    assert "static-peak" in page.read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in ("5", "5", "6"):
        data = tmp_path / "laws.json"
        wanted = ["--law", "static-peak", "--seed", seed, "--out", str(tmp_path / "a.html"), "--json", str(data)]
        assert main(["scale", "simulate", *SHORT, *wanted]) == 0
        found.append(data.read_text(encoding="utf-8"))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--trace", "wavy"], "--trace wavy: must be one of bursty"),
        (["--law", "best"], "--law best: must be one of tidegate"),
        (["--slo", "fast"], "--slo fast: must be one of"),
        (["--parameter", "headrom=1"], "headrom; known: model"),
        (["--parameter", "headroom"], "--parameter headroom: wants NAME=VALUE"),
        (["--max-replicas", "0"], "--max-replicas 0"),
        (["--profile", "/nowhere.json"], "--profile /nowhere.json: No such file"),
        (["--profile", "BROKEN"], "kv_cache_tokens"),
        (["--profile", "TEXT"], "the file: Invalid JSON"),
        (["--out", "/nowhere/laws.html"], "/nowhere"),
    ],
)
def test_what_is_wrong_ends_with_2_before_anything_runs(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no profile")
    broken = ASSUMED_H100_8B.model_dump() | {"kv_cache_tokens": -1}
    (tmp_path / "broken").write_text(json.dumps(broken))
    places = {"TEXT": str(tmp_path / "text"), "BROKEN": str(tmp_path / "broken")}
    assert main(["scale", "simulate", *(places.get(word, word) for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("tidegate: error: ")
    assert named in line


@pytest.mark.parametrize("option", ["--replicas", "--hours", "--cold-start", "--capacity-factor", "--shed-wait"])
def test_a_number_that_must_be_above_0_is(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("0", "inf", "many"):
        with pytest.raises(SystemExit) as left:
            main(["scale", "simulate", option, wrong])
        assert left.value.code == 2
        assert f"argument {option}: " in capsys.readouterr().err


def test_an_engine_that_never_meets_the_slo_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = tmp_path / "slow.json"
    ASSUMED_H100_8B.model_copy(update={"base_seconds": 2.0}).save(slow)
    assert main(["scale", "simulate", "--profile", str(slow), "--out", str(tmp_path / "a.html")]) == 2
    assert "no rate of chat holds the SLO on this engine" in capsys.readouterr().err


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serving.cli", "scale", "simulate", "--trace", "diurnal", "--out", "laws.html"]
    process = subprocess.Popen(
        [*command, "--replicas", "50"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert first.startswith("diurnal: ")
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []
