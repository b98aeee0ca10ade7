"""`python -m tests.cluster.run [PYTEST ARGUMENTS]`: brings the cluster tool up and runs these tests in it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from serving.cli.embedded_redis import server_binary
from tests.cluster.tool import TOOL
from tests.support.helm import ROOT

_IMAGES = Path(__file__).with_name("images") / "images.json"
# Two nodes with two GPUs each, and one without: what does not fit shows.
_NODES = "cpu-0,gpu-0:2,gpu-1:2"


def main(arguments: list[str]) -> None:
    """Becomes the tool."""
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
    }
    tests = [sys.executable, "-m", "pytest", "tests/cluster", *arguments]
    run = [sys.executable, "-B", str(TOOL), "run", "--nodes", _NODES, "--images", str(_IMAGES), "--", *tests]
    os.execve(sys.executable, run, environ)


if __name__ == "__main__":
    main(sys.argv[1:])
