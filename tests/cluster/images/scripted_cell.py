"""Stands for an engine cell where only its behaviour counts: a knee engine with a cell's port, probes, start and drain.

A test double: it computes no token. `python -m tests.cluster.images.scripted_cell`, everything by environment:
TIDEGATE_ENGINE__SERVED_MODEL_NAME as the chart sets it, SCRIPTED_START_SECONDS, and SCRIPTED_FLAGS, the options of
`bench.knee_engine` that say how fast it is. SIGTERM drains it as it does a real cell.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

import uvloop

from bench import mock_answers
from bench.knee_clock import Engine
from bench.knee_engine import Connection, add_profile, profile_of

_PORT = 30000
_CHAT = b"/v1/chat/completions"


class Cell:
    """What all connections share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.draining = False
        self.open: set[CellConnection] = set()


class CellConnection(Connection):
    """Refuses new work while the cell drains, and tells its probes so."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.engine)
        self._cell = cell
        cell.open.add(self)

    @property
    def generates(self) -> bool:
        return self._generation is not None

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(error)
        self._cell.open.discard(self)

    def on_message_complete(self) -> None:
        """Answer what a drain refuses; all else is the engine's."""
        if self._cell.draining and self._url in (_CHAT, b"/-/healthz"):
            self._transport.write(mock_answers.error(503, "this cell is shutting down", b"retry-after: 1\r\n"))
            self._ended()
        elif self._url == b"/-/healthz":
            self._transport.write(mock_answers.whole(200, b"success"))
            self._ended()
        else:
            super().on_message_complete()


async def serve() -> None:
    """From the cold start to the end of the drain."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.sleep(float(os.environ.get("SCRIPTED_START_SECONDS", "2")))
    parser = add_profile(argparse.ArgumentParser())
    profile = profile_of(parser.parse_args(os.environ.get("SCRIPTED_FLAGS", "").split()))
    cell = Cell(Engine(profile, os.environ["TIDEGATE_ENGINE__SERVED_MODEL_NAME"], max_model_len=32768))
    server = await loop.create_server(lambda: CellConnection(cell), "0.0.0.0", _PORT, backlog=4096)
    await stop.wait()
    cell.draining = True
    while any(connection.generates for connection in cell.open):
        await asyncio.sleep(0.05)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
