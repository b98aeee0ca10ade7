"""One load on one side, and what it cost the side; it does not know which side it loads or what is good."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import chat_request
from bench.processes import BenchError
from bench.sides import KEY, Side

LOAD_CORE = "1"
WRK = shutil.which("wrk")
_SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """One load of one side. `cpu_us` is per JSON request, or per relayed write of a stream."""

    cpu_us: float
    per_second: float
    p50_ms: float
    ttft_p50_ms: float
    peak_rss_mib: float
    errors: int
    first_error: str = ""


@dataclass(frozen=True)
class Json:
    """Requests that do not stream, in a closed loop for some seconds; `script` says what each one is."""

    connections: int
    seconds: float
    script: str = "post.lua"

    def run(self, side: Side) -> Sample:
        """Load the side by wrk."""
        if WRK is None:
            raise BenchError("wrk is missing: apt-get install wrk")
        environ = {"BENCH_BODY": chat_request.small(16).decode(), "BENCH_KEY": KEY, "BENCH_RUN": str(time.time_ns())}
        url = f"http://127.0.0.1:{side.port}/v1/chat/completions"
        options = ["-t1", f"-c{self.connections}", f"-d{self.seconds:g}s", "-s", str(_SCRIPTS / self.script)]
        before = side.child.cpu_seconds()
        output = run_pinned([WRK, *options, url], environ, LOAD_CORE)
        cpu_seconds = side.child.cpu_seconds() - before
        seen = json.loads(output.rpartition("SUMMARY ")[2])
        return Sample(
            cpu_us=cpu_seconds / max(1, seen["requests"]) * 1e6,
            per_second=seen["requests"] / seen["seconds"],
            p50_ms=seen["p50_us"] / 1000,
            ttft_p50_ms=0.0,
            peak_rss_mib=side.child.rss_mib(),
            errors=seen["errors"],
        )


@dataclass(frozen=True)
class Streams:
    """Streams of `tokens` events, `delay_ms` apart, each connection taking the next when one has ended.

    The first ones are spread over `ramp_ms`, as clients that connect one after another. All at once would let a front
    relay many events in one turn of its loop and make its TTFT a queue's; evenly over time would be no engine's way,
    which ends a step for all its sequences together.
    """

    connections: int
    requests: int
    tokens: int
    delay_ms: int
    ramp_ms: int

    def run(self, side: Side) -> Sample:
        """Load the side by the stream client. A client read that holds several events counts as one write."""
        side.child.reset_peak()
        before = side.child.cpu_seconds()
        timing = ["--tokens", self.tokens, "--delay-ms", self.delay_ms, "--ramp-ms", self.ramp_ms]
        seen = run_stream_client(side.port, self.connections, self.requests, [str(text) for text in timing], LOAD_CORE)
        cpu_seconds = side.child.cpu_seconds() - before
        return Sample(
            cpu_us=cpu_seconds / max(1, seen["reads"]) * 1e6,
            per_second=seen["events"] / seen["seconds"],
            p50_ms=seen["durations_ms_p50"],
            ttft_p50_ms=seen["ttft_ms_p50"],
            peak_rss_mib=side.child.peak_rss_mib(),
            errors=self.requests - seen["completed"],
            first_error=seen["first_error"],
        )


def run_stream_client(port: int, connections: int, requests: int, more: Sequence[str], cores: str) -> dict[str, Any]:
    """The client's summary, see `stream_client.Tally`, when it ran on `cores`."""
    options = {"port": port, "key": KEY, "connections": connections, "requests": requests}
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    output = run_pinned([sys.executable, "-m", "bench.stream_client", *flags, *more], {}, cores)
    seen: dict[str, Any] = json.loads(output)
    return seen


def best(rounds: Sequence[Sample]) -> Sample:
    """The best of every figure over the rounds, since disturbance only ever adds; memory's worst, and all errors."""
    return Sample(
        cpu_us=min(sample.cpu_us for sample in rounds),
        per_second=max(sample.per_second for sample in rounds),
        p50_ms=min(sample.p50_ms for sample in rounds),
        ttft_p50_ms=min(sample.ttft_p50_ms for sample in rounds),
        peak_rss_mib=max(sample.peak_rss_mib for sample in rounds),
        errors=sum(sample.errors for sample in rounds),
        first_error=next((sample.first_error for sample in rounds if sample.first_error), ""),
    )


def run_pinned(command: Sequence[str], environ: dict[str, str], cores: str) -> str:
    done = subprocess.run(
        ["taskset", "-c", cores, *command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{command[0]} failed: {done.stderr[-1000:]}")
    return done.stdout
