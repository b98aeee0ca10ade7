"""What a turn of a session costs the front beside the same request without one, both on one front in one run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import sides
from bench.loads import Json, Sample, best
from bench.processes import free_port, running, wait_until
from bench.report import Bar, ratio, table
from serving.cli.embedded_redis import answers, server_binary

STATELESS, SESSIONS = "without a session", "10 turns per session"
_HEADERS = ("chat request, c=32", "CPU-µs of the front", "RPS of one core", "p50 ms", "errors")


def measure(rounds: int, seconds: float) -> tuple[str, list[Bar]]:
    """A table and its bar."""
    loads = {STATELESS: Json(32, seconds), SESSIONS: Json(32, seconds, "session.lua")}
    samples: dict[str, list[Sample]] = {name: [] for name in loads}
    with _front() as front:
        for _ in range(rounds):
            for name, load in loads.items():
                samples[name].append(load.run(front))
    bests = {name: best(taken) for name, taken in samples.items()}
    rows = [
        [name, f"{one.cpu_us:.0f}", f"{one.per_second:,.0f}", f"{one.p50_ms:.1f}", str(one.errors)]
        for name, one in bests.items()
    ]
    cost = ratio(bests[SESSIONS].cpu_us, bests[STATELESS].cpu_us)
    return table(_HEADERS, rows), [Bar("CPU of a turn of a session over a request without one", cost, 3.0)]


@contextlib.contextmanager
def _front() -> Iterator[sides.Side]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = free_port()
        redis = stack.enter_context(running("redis", _redis(port), sides.MOCK_CORE))
        wait_until(lambda: answers(f"redis://127.0.0.1:{port}"), redis, 10)
        engine = stack.enter_context(sides.started(sides.mock()))
        launch = sides.tidegate(engine.port)
        state = {
            "TIDEGATE_FRONT__STORE": f"sqlite:///{Path(folder) / 'bench.db'}",
            "TIDEGATE_FRONT__REDIS": f"redis://127.0.0.1:{port}",
        }
        launch = dataclasses.replace(launch, environ={**launch.environ, **state})
        yield stack.enter_context(sides.started(launch))


def _redis(port: int) -> list[str]:
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return [str(server_binary(os.environ)), *flags]
