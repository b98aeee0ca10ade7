"""Kills the cluster tool's Prometheus and brings it back as it was."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.tool import is_inside, state


@contextmanager
def killed_prometheus() -> Iterator[None]:
    """Away within, back after; its data stay."""
    if not is_inside():
        pytest.skip("Prometheus is killed on the cluster tool only")
    pid = _pid()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        with (state() / "components" / "prometheus-again.log").open("ab") as log:
            subprocess.Popen(command, stdout=log, stderr=log, cwd=f"/proc/{os.getpid()}/cwd", start_new_session=True)


def _pid() -> int:
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    found = next((int(folder.name) for folder in folders if _is_ours(_command(folder))), None)
    assert found is not None, f"no Prometheus of {state()} is running"
    return found


def _is_ours(command: list[bytes]) -> bool:
    mine = str(state()).encode()
    return command[0].endswith(b"prometheus") and any(mine in word for word in command)


def _command(folder: Path) -> list[bytes]:
    try:
        return (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]
