"""Counts the requests to stop that reach this process; it does not know what stopping means."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from types import FrameType


class StopSignals:
    """SIGTERM and SIGINT, counted: the first asks for a drain, the second for an end at once."""

    def __init__(self) -> None:
        self.count = 0
        # A handler may not touch a lock that its own thread holds; a pipe it may always write to.
        self._came, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def install(self) -> None:
        """Take the signals of this process. Ray takes SIGTERM when it starts, so this is called after it again."""
        signal.signal(signal.SIGTERM, self._count)
        signal.signal(signal.SIGINT, self._count)

    def wait(self, seconds: float) -> None:
        """Until the first signal came, at most so long."""
        select.select([self._came], [], [], seconds)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        with suppress(BlockingIOError):
            os.write(self._write, b".")
