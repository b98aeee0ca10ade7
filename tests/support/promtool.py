"""Runs Prometheus' own unit tests on rules and made-up series; it knows no chart and no rule."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# A value or, of a counter, a rate per second: constant, or from the second it begins at; None is no sample.
Course = float | None | Sequence[Sequence[float | None]]
Series = Mapping[str, Course]
Samples = Mapping[str, float]
Expected = Mapping[str, Samples]

_COUNTER = re.compile(r"_(total|bucket|count|sum)\b")
_DECIMALS = 0.0001


def check(folder: Path, groups: Sequence[Any]) -> None:
    """Every rule parses, and every template in it."""
    _write(folder / "rules.yml", {"groups": list(groups)})
    _promtool("check", "rules", str(folder / "rules.yml"))


def expect(
    folder: Path,
    groups: Sequence[Any],
    series: Series,
    expected: Expected,
    *,
    at_seconds: int,
    step_seconds: int = 15,
    alerts: Sequence[Any] = (),
) -> None:
    """Each expression has exactly these samples, to 4 decimals; labels as `{a="b"}`, an alert's label order free."""
    _write(folder / "rules.yml", {"groups": list(groups)})
    test = {
        "interval": f"{step_seconds}s",
        "input_series": [
            {"series": name, "values": " ".join(_points(name, course, at_seconds, step_seconds))}
            for name, course in series.items()
            if course is not None
        ],
        "promql_expr_test": [
            {
                "expr": f"round({expr}, {_DECIMALS})",
                "eval_time": f"{at_seconds}s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
            }
            for expr, samples in expected.items()
        ],
        "alert_rule_test": list(alerts),
    }
    file = {"rule_files": ["rules.yml"], "evaluation_interval": f"{step_seconds}s", "tests": [test]}
    _write(folder / "test.yml", file)
    _promtool("test", "rules", str(folder / "test.yml"))


def _points(name: str, course: Course, until_seconds: int, step_seconds: int) -> Iterator[str]:
    steps = course if isinstance(course, Sequence) else [[0, course]]
    counter, total = _COUNTER.search(name.split("{")[0]) is not None, 0.0
    for second in range(0, until_seconds + 1, step_seconds):
        value = [one for begin, one in steps if begin is not None and begin <= second][-1]
        if value is None:
            total = 0.0
            yield "_"
        elif counter:
            yield f"{total:.6f}"
            total += value * step_seconds
        else:
            yield str(value)


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), encoding="utf-8")


def _promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
