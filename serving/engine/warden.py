"""Ends every process of a cell once the cell itself is gone, however it went; it does not know what they are.

Ray ties its daemons to the process that started it, but its agents wait a minute for a control store that is dead, and
vLLM's workers linger for 20 s. The warden is a process of its own, run as a script: it imports nothing of this package.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_SECONDS = 2.0


@contextmanager
def warden() -> Iterator[None]:
    """Everything that this process starts within, and leaves behind, is killed: at the end, or when this process dies.

    Python's resource tracker is spared: it removes the shared memory of the others and ends by itself.
    """
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    # The kernel closes this pipe when the cell dies; a session of its own keeps the terminal's signals away.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


def main(cell: int) -> None:
    """Watch over the descendants of `cell` until standard input ends, then kill what is left of them."""
    known = _descendants({cell: ""}, _parents())
    while not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
        # Those that lost their parent meanwhile stay known: they are what the warden is for.
        known = _descendants({cell: "", **_alive(known)}, _parents())
    for pid, started in _descendants(_alive(known), _parents()).items():
        if pid not in (cell, os.getpid()) and _started(pid) == started and not _is_tracker(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _parents() -> dict[int, int]:
    return {int(name): parent for name in os.listdir("/proc") if name.isdigit() and (parent := _parent(int(name)))}


def _descendants(known: dict[int, str], parents: dict[int, int]) -> dict[int, str]:
    """`known` and all below it, each with its start time, which tells it from a later process of the same id."""
    found = dict(known)
    grown = True
    while grown:
        below = {pid: _started(pid) for pid, parent in parents.items() if parent in found and pid not in found}
        grown = bool(below)
        found |= below
    return found


def _alive(known: dict[int, str]) -> dict[int, str]:
    return {pid: started for pid, started in known.items() if started and _started(pid) == started}


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold spaces: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def _is_tracker(pid: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]))
