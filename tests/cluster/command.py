"""`tidegate scale …` as an operator runs it, against the cluster that KUBECONFIG names."""

from __future__ import annotations

import subprocess
import sys

from tests.cluster.tool import is_inside

_COMMAND = (sys.executable, "-W", "ignore", "-m", "serving.cli", "scale")
_PROMETHEUS = ("--prometheus", "http://prometheus.monitoring.svc:9090")


def scale(kind: str, *words: str) -> str:
    """Its output. An AssertionError with it where the exit status is not 0."""
    where = _PROMETHEUS if is_inside() else ()
    done = subprocess.run([*_COMMAND, kind, *words, *where], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
