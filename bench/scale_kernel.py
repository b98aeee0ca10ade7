"""How many requests per second the simulator's kernel simulates: compiled at 1,000 replicas, and as plain Python."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numba

from autoscale.simulate.knee import knee
from bench import report
from bench.report import Bar
from bench.scale_kernel_side import fleet
from loadtest.slo import PRESETS

_LOAD_SHARE = 0.8


@dataclass(frozen=True)
class Side:
    """A size, and whether the kernel is compiled."""

    name: str
    replicas: int
    seconds: float
    rounds: int
    plain: bool = False

    def run(self, rate: float) -> dict[str, Any]:
        """In a process of its own, since numba decides when the kernel is imported."""
        command = [sys.executable, "-m", "bench.scale_kernel_side", str(self.replicas), str(rate)]
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1" if self.plain else "0"}
        arguments = [*command, str(self.seconds), str(self.rounds)]
        text = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True).stdout
        found: dict[str, Any] = json.loads(text)
        return found


def measure(rounds: int, is_quick: bool) -> tuple[str, list[Bar], str]:
    """Its table, its bars, and a line on the load."""
    chat = PRESETS["chat"]
    at_knee = knee(lambda requests: fleet(requests, 0), "chat", chat)
    sides = [
        Side("compiled", 1000, 20.0 if is_quick else 60.0, rounds),
        Side("compiled", 10, 30.0, rounds),
        Side("plain Python", 10, 10.0, 1, plain=True),
    ]
    found = []
    for side in sides:
        print(f"kernel, {side.name}, {side.replicas:,} replicas ...", flush=True)
        found.append(side.run(_LOAD_SHARE * at_knee))
    speeds = [one["requests"] / statistics.median(one["took"]) for one in found]
    rows = [_row(*one) for one in zip(sides, found, speeds, strict=True)]
    table = report.table(["kernel", "replicas", "requests", "good", "requests/s simulated", "ready after, CPU s"], rows)
    bars = [
        Bar("requests simulated per CPU second at 1,000 replicas", speeds[0], 300_000, "", at_least=True),
        Bar("compiled over plain Python, 10 replicas", speeds[1] / speeds[2], 20, at_least=True),
    ]
    about = (
        f"Kernel (numba {numba.__version__}): Poisson at {_LOAD_SHARE:g} of a replica's knee, {at_knee:.2f} requests/s"
    )
    return table, bars, f"{about}; CPU seconds of one thread, median of {rounds}."


def _row(side: Side, found: dict[str, Any], speed: float) -> list[str]:
    good, ready = found["good"] / found["requests"], "-" if side.plain else f"{found['compiled']:.1f}"
    return [side.name, f"{side.replicas:,}", f"{found['requests']:,}", f"{good:.4f}", f"{speed:,.0f}", ready]
