"""Request log lines to a file descriptor: gathered, and written when the loop turns idle or the buffer is large."""

from __future__ import annotations

import contextlib
import os

_FLUSH_BYTES = 64 * 1024


class LogLines:
    """Buffers lines; `flush` writes them. A reader that is gone or slow loses lines, never stops the front."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def __call__(self, line: bytes) -> None:
        self._buffer += line
        self._buffer += b"\n"
        if len(self._buffer) >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._buffer:
            data, self._buffer = self._buffer, bytearray()
            with contextlib.suppress(OSError):
                os.write(self._descriptor, data)
