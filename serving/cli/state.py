"""The folder where a running `tidegate up` leaves its pid, its endpoint and its logs; it starts and stops nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from serving.cli.ready import Ready


def root(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/tidegate`, which is `~/.local/state/tidegate` unless set."""
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "tidegate"


class StateFolder:
    """What one `tidegate up` leaves for others, by the port it serves on. Readable by its user only: it holds keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log(self, name: str) -> Path:
        """The log of a child, empty."""
        path = self.folder / f"{name}.log"
        _write_private(path, "")
        return path

    def settings(self, name: str, text: str) -> Path:
        """The settings file of a child."""
        path = self.folder / f"{name}.conf"
        _write_private(path, text)
        return path

    def announce(self, ready: Ready) -> None:
        """Let `tidegate chat` find the endpoint."""
        _write_private(self.folder / "ready.json", ready.line())


@contextmanager
def state_of(port: int, environ: Mapping[str, str]) -> Iterator[StateFolder]:
    """The folder of the `up` on a port, with this process's pid in it; both end with the block, the logs stay."""
    folder = root(environ) / f"up-{port}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pid = folder / "up.pid"
    _write_private(pid, f"{os.getpid()}\n")
    try:
        yield StateFolder(folder)
    finally:
        for path in (pid, folder / "ready.json", *folder.glob("*.conf")):
            path.unlink(missing_ok=True)


def running(environ: Mapping[str, str]) -> Ready | None:
    """The endpoint of an `up` that is alive, the lowest port first; None when there is none."""
    for file in sorted(root(environ).glob("up-*/ready.json"), key=lambda file: int(file.parent.name[3:])):
        try:
            os.kill(int((file.parent / "up.pid").read_text()), 0)
            return Ready(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
    return None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
