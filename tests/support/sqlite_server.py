"""Where the contract tests of the SQLite store run: a folder, in the place of a server."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from serving.adapters.stores import create


class SqliteServer:
    """Gives files in a folder."""

    address = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def __enter__(self) -> SqliteServer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @staticmethod
    def missing() -> str | None:
        return None

    def fresh(self) -> str:
        """URL of a store of its own, empty."""
        url = f"sqlite:///{self._folder / f'{next(self._numbers)}.db'}"
        asyncio.run(create(url))
        return url
