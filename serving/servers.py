"""Runs the clients' and the admin port in one event loop, and stops them in order; it knows no route and no policy."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from serving.errors import RequestError, SettingsError, ShuttingDown
from serving.front.hot import HotProtocol

_BACKLOG = 4096


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us, and sleeps until it is told to stop instead of ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.asked_to_stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.asked_to_stop.wait()


class Listener:
    """One port."""

    def __init__(
        self,
        app: FastAPI,
        key: str,
        host: str,
        port: int,
        protocol: Callable[..., asyncio.Protocol] | None = None,
    ) -> None:
        self._key = key
        self._address = f"{host}:{port}"
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=protocol or "httptools",  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=None,
        )
        self._server = QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def connections(self) -> list[HotProtocol]:
        return [one for one in self._server.server_state.connections if isinstance(one, HotProtocol)]

    async def start(self) -> None:
        """Raises `SettingsError` when the port cannot be had."""
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._task.done():
                with contextlib.suppress(SystemExit):
                    self._task.result()
                raise SettingsError(self._key, f"cannot listen on {self._address}: is the port taken?")
            await asyncio.sleep(0.01)

    async def stop(self, within_seconds: float) -> None:
        """Accept nothing more, let what runs finish, then end it with an error."""
        if self._task is None:
            return
        self._server.asked_to_stop.set()
        done, _ = await asyncio.wait({self._task}, timeout=within_seconds)
        if not done:
            end_all(self.connections, ShuttingDown("The server is shutting down. Try again."))
            self._server.force_exit = True
            await asyncio.wait({self._task}, timeout=2)


def end_all(connections: list[HotProtocol], error: RequestError) -> None:
    for connection in connections:
        connection.stop(error)


class Signals:
    """The first SIGTERM or SIGINT asks to stop, a second one to stop at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self, *_: Any) -> None:
        (self.second if self.first.is_set() else self.first).set()
