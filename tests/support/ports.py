"""Free TCP ports below the kernel's ephemeral range, so that no outgoing connection takes one meanwhile."""

from __future__ import annotations

import random
import socket

_given: set[int] = set()


def free_port() -> int:
    while True:
        port = random.SystemRandom().randrange(12000, 30000)
        with socket.socket() as probe:
            if port not in _given and probe.connect_ex(("127.0.0.1", port)) != 0 and _binds(port):
                _given.add(port)
                return port


def _binds(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
