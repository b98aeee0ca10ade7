"""Locust as a process with the one-probe conductor, and what it leaves: no pytest process may import locust itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.plan import Plan
from loadtest.records import Rows, from_bytes

_LOCUSTFILE = Path(__file__).parents[1] / "loadtest" / "one_probe.py"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Left:
    """What a run has left in its folder."""

    rows: Rows
    told: dict[str, Any]

    @classmethod
    def by(cls, plan: Plan) -> Left:
        return cls(from_bytes((plan.out / "rows").read_bytes()), json.loads((plan.out / "run.json").read_text()))


def locust(plan: Plan, *flags: str, plan_json: str | None = None) -> subprocess.Popen[str]:
    """Started, with the plan in its environment, or with `plan_json` in its place."""
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--only-summary", *flags]
    given = plan.model_dump_json() if plan_json is None else plan_json
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TIDEGATE_BENCH_PLAN": given}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """Its exit status and all that it said."""
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said
