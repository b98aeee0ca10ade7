"""Lets a replica take its predecessor's port at once; it binds nothing itself.

Serve binds without SO_REUSEADDR. The connections that a dead replica leaves in TIME_WAIT would hold its port for a
minute, and Serve never tries a port again that it once found in use.
"""

from __future__ import annotations

import socket
from types import ModuleType
from typing import Any


class _ReusableSocket(socket.socket):
    def bind(self, address: Any) -> None:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        super().bind(address)


def reuse_ports() -> None:
    """Make Serve's servers in this process bind with SO_REUSEADDR; call before Serve starts them."""
    from ray.serve._private import http_util

    sockets = ModuleType("socket")
    sockets.__dict__.update(socket.__dict__)
    sockets.socket = _ReusableSocket  # type: ignore[attr-defined]
    http_util.socket = sockets
