"""Shows that a long start is alive, on a terminal or in a log; it does not know what is being started."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

_WHEEL = "|/-\\"
_SIGN_OF_LIFE_SECONDS = 15.0


class Progress:
    """Lines as they come; between them a moving line on a terminal, else a line every 15 s."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._moving = out.isatty()
        self._began = time.monotonic()
        self._last_sign = self._began
        self._ticks = 0
        self._detail = ""

    def say(self, text: str) -> None:
        """Show one line for good."""
        self._detail = ""
        self._clear()
        print(f"tidegate: {text}", file=self._out, flush=True)
        self._last_sign = time.monotonic()

    def detail(self, text: str) -> None:
        """Show one step of what is awaited: on a terminal until the next one, in a log for good."""
        if self._moving:
            self._detail = text
        else:
            self.say(text)

    def tick(self, waiting_for: str) -> None:
        """Call often while something is awaited."""
        now = time.monotonic()
        text = f"{now - self._began:.0f} s, {self._detail or waiting_for}"
        if self._moving:
            self._ticks += 1
            self._clear()
            width = shutil.get_terminal_size().columns - 3
            print(f"{_WHEEL[self._ticks % len(_WHEEL)]} {text[:width]}", end="", file=self._out, flush=True)
        elif now - self._last_sign >= _SIGN_OF_LIFE_SECONDS:
            self.say(text)

    def _clear(self) -> None:
        if self._moving:
            print("\r\x1b[K", end="", file=self._out)
