"""Waiting for something that happens in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], within: float = 5.0, what: str = "it") -> T:
    """The first true value of `probe`; an AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {within} s for {what}; last seen: {value!r}"
        time.sleep(0.003)
