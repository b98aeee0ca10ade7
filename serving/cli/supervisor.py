"""Keeps processes running and stops them in order; it does not know what they are.

A dead one is started again after 1 s, then 2, 4 … 30 s; a minute of life makes the wait short again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0
_STABLE_AFTER_SECONDS = 60.0


class Process(Protocol):
    name: str

    @property
    def exit_status(self) -> int | None: ...
    def start(self) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def last_words(self) -> str: ...


class KeptRunning:
    """One process and when it may be started again."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._wait_seconds = _FIRST_WAIT_SECONDS

    def start(self, now: float) -> None:
        self._started_at = now
        self._restart_at = None
        self._process.start()

    def check(self, now: float, say: Callable[[str], None]) -> None:
        """Notice a death, or start it again when its wait is over. `now` is monotonic, seconds."""
        if self._process.exit_status is None:
            return
        if self._restart_at is None:
            self._plan_restart(now, say)
        elif now >= self._restart_at:
            self.start(now)

    def _plan_restart(self, now: float, say: Callable[[str], None]) -> None:
        if now - self._started_at >= _STABLE_AFTER_SECONDS:
            self._wait_seconds = _FIRST_WAIT_SECONDS
        # What its main process left behind would hold its ports.
        self._process.kill()
        name, status = self._process.name, self._process.exit_status
        # A signal comes from outside: what it said before has nothing to do with it.
        why = self._process.last_words() if status and status > 0 else ""
        ending = f"{how_it_ended(status)}{': ' if why else ''}{why}"
        say(f"{name} died ({ending}); starting it again in {self._wait_seconds:.0f} s")
        self._restart_at = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)


def how_it_ended(status: int | None) -> str:
    """`exit status 1` or `signal 9`."""
    return f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"


def stop(
    processes: Sequence[Process], limit_seconds: float, hurry: Callable[[], bool], at_once_seconds: float = 10.0
) -> list[str]:
    """Let all of them drain at the same time, for at most the limit or until `hurry`; the names of those killed.

    What still runs then is asked a second time, which means at once, and killed if that takes long too.
    """
    for seconds, impatient in ((limit_seconds, hurry), (at_once_seconds, lambda: False)):
        for process in processes:
            process.terminate()
        _wait(processes, seconds, impatient)
    killed = [process.name for process in processes if process.exit_status is None]
    for process in processes:
        process.kill()
    return killed


def _wait(processes: Sequence[Process], limit_seconds: float, impatient: Callable[[], bool]) -> None:
    deadline = time.monotonic() + limit_seconds
    while any(p.exit_status is None for p in processes) and time.monotonic() < deadline and not impatient():
        time.sleep(0.05)
