"""The cluster tool beside the checkout, where it is what KUBECONFIG came from; it knows no chart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.helm import ROOT

TOOL = Path(os.environ.get("CLUSTER_TOOL", ROOT.parent / "shared" / "cluster" / "cluster"))


def is_inside() -> bool:
    """This process was started by `cluster run`."""
    return "CLUSTER_STATE" in os.environ


def cluster(*words: str, timeout_seconds: float = 900) -> str:
    """One call of the tool; its output. Raises `RuntimeError` with it when the call fails, or outside the tool."""
    if not is_inside():
        raise RuntimeError("this cluster is not the tool's")
    environ = {**os.environ, "CLUSTER_HELM_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-B", str(TOOL), *words], capture_output=True, text=True, env=environ, timeout=timeout_seconds
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(f"cluster {' '.join(words)}: status {done.returncode}\n{said}")
    return said


def state() -> Path:
    """The running cluster's folder."""
    return Path(os.environ["CLUSTER_STATE"])
