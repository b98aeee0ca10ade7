"""One program as a child process: its own group, its output in a file, gone when its parent is gone.

It does not know what the program does, nor whether it should run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 16_384


class Child:
    """A program that can be started again. All methods return at once.

    Start it from the main thread only: the kernel ties the child's life to the thread that started it.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._read_up_to = 0

    def start(self) -> None:
        """Start it, its log appended to; the log of an earlier life stays readable."""
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def die_with_parent() -> None:
            # SIGTERM, so that an orphaned cell still takes its Ray processes along, and a front ends its streams.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        """0 before its first start."""
        return self._process.pid if self._process else 0

    @property
    def exit_status(self) -> int | None:
        """None while it runs, and before its first start."""
        return self._process.poll() if self._process else None

    def terminate(self) -> None:
        """Ask it to drain and exit."""
        if self._process and self.exit_status is None:
            self._process.terminate()

    def kill(self) -> None:
        """End what is left of its process group."""
        if self._process:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def new_lines(self) -> list[str]:
        """Whole lines of its log that were not returned before."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._read_up_to)
                content = log.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read_up_to += len(whole)
        return whole.decode(errors="replace").splitlines()

    def last_words(self) -> str:
        """What it said as its last line, shortened; empty when it said nothing."""
        return next(iter(self.tail(1)), "").removeprefix("tidegate: error: ")[:200]

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines of its log."""
        try:
            content = self.log.read_bytes()[-_TAIL_BYTES:]
        except FileNotFoundError:
            return []
        return content.decode(errors="replace").splitlines()[-lines:]
