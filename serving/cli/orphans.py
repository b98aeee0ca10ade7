"""Ends what a killed child left running: this process adopts the orphans of its descendants; it starts nothing.

A cell that is killed leaves Ray and its replicas behind, which would hold its port and its GPU for seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_SECONDS = 5.0


def adopt() -> None:
    """From now on, an orphan among this process's descendants becomes its child."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_orphans(children: Collection[int]) -> None:
    """Kill every child of this process that is not one of `children`, with all below it. Call after `adopt`."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (orphans := set(_family().get(os.getpid(), ())) - set(children)) and time.monotonic() < deadline:
        family = _family()
        for orphan in orphans:
            _kill_tree(orphan, family)
            # A killed orphan stays in the process table until its new parent asks for its status.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
        time.sleep(0.02)


def _kill_tree(root: int, family: dict[int, list[int]]) -> None:
    for child in family.get(root, ()):
        _kill_tree(child, family)
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGKILL)


def _family() -> dict[int, list[int]]:
    """Every process by its parent."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name before the last ')' may hold anything; the parent is the second field after it.
            parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    return children
