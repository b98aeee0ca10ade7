"""`python -m tests.cluster.run [PYTEST ARGUMENTS]`: brings the cluster tool up and runs these tests in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from serving.cli.embedded_redis import server_binary
from tests.cluster.tool import TOOL
from tests.support.helm import ROOT
from tests.support.tiers import FULL_GATE

_IMAGES = Path(__file__).with_name("images") / "images.json"
# Two nodes with two GPUs each, for cells alone, and one for all else: what does not fit shows.
_NODES = "cpu-0,gpu-0:2:tainted,gpu-1:2:tainted"


# What no installation mends: a machine or container that gives no root or no namespaces.
_NOT_GIVEN = ("root user", "namespaces")


def main(arguments: list[str]) -> None:
    """Becomes the tool. Where it cannot run: says so, and ends with 1 if the full gate lacks what can be installed."""
    if not TOOL.exists():
        sys.exit(_skipped(f"there is neither KUBECONFIG nor {TOOL}", [], 0))
    lacking = _lacking()
    if lacking:
        mendable = [line for line in lacking if not line.startswith(_NOT_GIVEN)]
        sys.exit(_skipped("of what is missing:", lacking, int(bool(mendable) and os.environ.get(FULL_GATE) == "1")))
    environ = {
        **os.environ,
        "CHECKOUT": str(ROOT),
        "VENV": str(Path(sys.prefix)),
        "TINI": shutil.which("tini") or "tini",
        "VALKEY_SERVER": server_binary(os.environ) or "redis-server",
        "SCRIPTED_START_SECONDS": "3",
        # 8 at once, 20 ms a token: about 10 chats of 40 tokens a second, then they queue.
        "SCRIPTED_FLAGS": "--max-num-seqs 8 --base-seconds 0.02 --per-sequence-seconds 0.0",
        "CLUSTER_HELM_PYTHON": sys.executable,
        **_discovery(),
    }
    tests = [sys.executable, "-m", "pytest", "tests/cluster", *arguments]
    run = [sys.executable, "-B", str(TOOL), "run", "--nodes", _NODES, "--images", str(_IMAGES), "--", *tests]
    os.execve(sys.executable, run, environ)


def _lacking() -> list[str]:
    doctor = [sys.executable, "-B", str(TOOL), "doctor", "--python", sys.executable]
    said = subprocess.run(doctor, capture_output=True, text=True, check=False).stdout
    return [line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("MISSING")]


def _skipped(why: str, lacking: list[str], status: int) -> int:
    print("\n  ".join([f"SKIPPED: tests/cluster, because {why}", *lacking]), file=sys.stderr)
    return status


def _discovery() -> dict[str, str]:
    """Our stand-in for Prometheus' Kubernetes discovery, where the machine's Prometheus was built without it."""
    asked = "{scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]}"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(asked)
        file.flush()
        checked = subprocess.run(["promtool", "check", "config", file.name], capture_output=True, check=False)
    if checked.returncode == 0:
        return {}
    print("this Prometheus knows no kubernetes_sd_configs: tests/cluster/discovery.py stands for them", file=sys.stderr)
    return {"CLUSTER_PATH": str(Path(__file__).with_name("bin")), "PROMETHEUS": shutil.which("prometheus") or ""}


if __name__ == "__main__":
    main(sys.argv[1:])
