"""Runs `tidegate bench` as its users do and reads the result that it prints; it judges nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.knee_engine import flags
from bench.knee_model import Profile
from bench.processes import RUN_FOLDER, BenchError, Child, answers, free_port, running, wait_until
from bench.sides import TIDEGATE

Tree = Mapping[str, Any]

ENGINE_CORE, CLIENT_CORE = 0, 1
_LIMIT_SECONDS = 1800.0


@dataclass(frozen=True)
class Load:
    """One run of the command. `core` None: wherever the system puts it."""

    name: str
    kind: str
    base_url: str
    options: Sequence[str] = ()
    core: int | None = CLIENT_CORE


@dataclass(frozen=True)
class Found:
    """Its exit status, and the tree of `result.json`."""

    status: int
    result: Tree

    @property
    def probes(self) -> Sequence[Tree]:
        """In the order of the run."""
        probes: Sequence[Tree] = self.result["probes"]
        return probes

    def goodput(self, quantile: float, target: int = 0) -> Tree:
        """Of one target at one quantile."""
        for goodput in self.result["goodputs"]:
            if goodput["target"] == target and abs(goodput["quantile"] - quantile) < 1e-9:
                found: Tree = goodput
                return found
        raise BenchError(f"the result has no goodput of target {target} at {quantile:g}")


def interval(found: Tree, sign: str = "") -> str:
    """A figure with its interval, three digits each; null is what no number of JSON can say."""
    value, low, high = ("-" if found[name] is None else f"{found[name]:{sign}.3g}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def rate(goodput: Tree) -> str:
    """The goodput with its interval, or the first sentence of why there is none."""
    return str(goodput["withheld"]).partition(". ")[0] or interval(goodput["rate"])


def differing(*runs: Found) -> float | None:
    """How many figures of the servers are not the client's; None where none could be compared."""
    checks = [entry for found in runs for entry in found.result["crosscheck"]["entries"]]
    return float(sum(not entry["holds"] for entry in checks)) if checks else None


def run(load: Load) -> Found:
    """Progress goes to stderr as it comes. Raises `BenchError` when there is no result."""
    out = RUN_FOLDER.absolute() / f"load-{load.name.replace(' ', '-')}"
    command = [str(TIDEGATE), "bench", load.kind, "--base-url", load.base_url, "--out", str(out), "--json"]
    pinned = ["taskset", "-c", str(load.core)] if load.core is not None else []
    status, output = _output([*pinned, *command, *load.options], load.name)
    try:
        return Found(status, json.loads(output))
    except json.JSONDecodeError:
        raise BenchError(f"tidegate bench {load.kind} ended with {status} and no result (see above)") from None


def _output(command: Sequence[str], name: str) -> tuple[int, str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} was not done within {_LIMIT_SECONDS:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


@contextlib.contextmanager
def knee_engine(profile: Profile, core: int = ENGINE_CORE) -> Iterator[tuple[Child, str]]:
    """A running knee engine and its base URL."""
    port = free_port()
    command = [sys.executable, "-m", "bench.knee_engine", "--port", str(port), *flags(profile)]
    with running("knee engine", command, core) as child:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), child, 20)
        yield child, f"http://127.0.0.1:{port}/v1"
