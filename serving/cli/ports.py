"""Which TCP ports of this machine are free; it reserves none, so ask late."""

from __future__ import annotations

import socket
from collections.abc import Iterable


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def any_free(host: str = "127.0.0.1") -> int:
    """A port that the kernel picked."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def free_blocks(first: int, width: int, count: int, step: int = 10) -> Iterable[int]:
    """The starts of `count` blocks of `width` free ports, at `first`, `first + step`, … where these are free."""
    start = first
    found = 0
    while found < count and start + width <= 65536:
        if all(is_free(port) for port in range(start, start + width)):
            yield start
            found += 1
        start += max(step, width)
