"""Counts the requests to stop that reach this process; it does not know what stopping means."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignals:
    """SIGTERM and SIGINT, counted: the first asks for a drain, the second for an end at once."""

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        """Take the signals of this process. Ray takes SIGTERM when it starts, so this is called after it again."""
        signal.signal(signal.SIGTERM, self._count)
        signal.signal(signal.SIGINT, self._count)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
