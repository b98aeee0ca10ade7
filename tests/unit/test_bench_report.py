"""Bars, the results file, and the accounting of process trees."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from bench import report
from bench.processes import running, tree
from bench.report import Bar

BUSY_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "while True: pass"])
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [
        (Bar("cost", 0.6, 0.6), "held"),
        (Bar("cost", 0.75, 0.6), "MISSED by 0.15 x (25%)"),
        (Bar("speed", 0.98, 0.97, at_least=True), "held"),
        (Bar("speed", 0.9, 1.0, at_least=True), "MISSED by 0.1 x (10%)"),
        (Bar("errors", 3, 0, "errors"), "MISSED by 3 errors"),
        (Bar("cost", None, 0.6), "NOT MEASURED"),
    ],
)
def test_a_verdict_says_by_how_much(bar: Bar, verdict: str) -> None:
    assert bar.verdict() == verdict
    assert bar.held() == (verdict == "held")


def test_keeping_a_section_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for title, text in (("Front tier", "old"), ("Engine cell", "engine"), ("Front tier", "new")):
        report.keep(title, text, path)
    kept = path.read_text()
    assert kept.startswith("# Results")
    assert "## Front tier\n\nnew\n" in kept
    assert "## Engine cell\n\nengine\n" in kept
    assert "old" not in kept


def test_cpu_of_grandchildren_counts_and_all_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running("busy", [sys.executable, "-c", BUSY_CHILD], core=None) as child:
        deadline = time.monotonic() + 20
        while child.cpu_seconds() < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        family = tree(child.process.pid)
        assert len(family) == 2
        assert child.cpu_seconds() >= 0.3
    deadline = time.monotonic() + 10
    while any(_is_running(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_is_running(pid) for pid in family)


def _is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
