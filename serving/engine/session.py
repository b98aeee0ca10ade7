"""Owns the scratch folder of one cell and keeps a second cell off its port; it does not know what lies in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.errors import EngineStartError

# Ray's sockets below it must stay within the 107 bytes of a Unix socket's path, so TMPDIR cannot be followed.
_ROOT = Path("/tmp")


@dataclass(frozen=True)
class Session:
    """`ray` is Ray's folder, with its logs. The replicas drain while `draining` exists."""

    folder: Path

    @property
    def ray(self) -> Path:
        return self.folder / "ray"

    @property
    def logs(self) -> Path:
        return self.ray / "session_latest" / "logs"

    @property
    def draining(self) -> Path:
        return self.folder / "draining"


@contextmanager
def session(port: int, root: Path = _ROOT) -> Iterator[Session]:
    """The empty folder of the cell on `port`; removed after a clean end, kept for its logs after a failure."""
    home = root / f"tidegate-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    if home.stat().st_uid != os.getuid():
        raise EngineStartError(f"{home} belongs to another user; remove it")
    with (home / f"{port}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EngineStartError(f"another cell runs on port {port}; stop it or set engine.port") from None
        folder = home / str(port)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        yield Session(folder)
        shutil.rmtree(folder, ignore_errors=True)


def require_free_ports(host: str, first: int, count: int) -> None:
    """Raise `EngineStartError` if anything listens on a port that a replica will need."""
    for port in range(first, first + count):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise EngineStartError(
                    f"cannot listen on {host}:{port}: {error.strerror}; set engine.host or engine.port"
                ) from None
