"""A TCP proxy before one server that cuts streams of events after a number of whole ones, to the byte.

It runs on a loop thread of its own. Of HTTP it knows what a stream's head says and what an event ends with.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from tests.support.ports import free_port

T = TypeVar("T")

How = Literal["fin", "rst"]
_CHUNK = 65536
_STREAM, _END = b"text/event-stream", b"\n\n"
_RESET = struct.pack("ii", 1, 0)


class _Link:
    """One client's connection: the bytes of the answer that it gets now, head and framing included."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self._client = client
        self.seen = b""

    async def ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """Copy requests, of which each one begins a new answer."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                self.seen = b""
                server.write(data)
                await server.drain()
            server.write_eof()

    async def answer(self, data: bytes) -> None:
        self._client.write(data)
        await self._client.drain()


class CutProxy:
    """Listens at several addresses, each of which a client takes for a server of its own."""

    def __init__(self, upstream: tuple[str, int], doors: int = 2) -> None:
        self.upstream = upstream
        self.addresses = [("127.0.0.1", free_port()) for _ in range(doors)]
        self.urls = [f"http://{host}:{port}" for host, port in self.addresses]
        self.cuts = 0
        self._plans: deque[tuple[int, How]] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cut-proxy", daemon=True)
        self._thread.start()
        self._servers = [self._call(asyncio.start_server(self._carry, *address)) for address in self.addresses]

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def cut(self, *after_events: int, how: How = "fin") -> None:
        """The next streams, whichever door they pass: one for each number."""
        self._plans.clear()
        self._plans.extend((count, how) for count in after_events)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        answers, server = await asyncio.open_connection(*self.upstream)
        asking = self._loop.create_task(link.ask(reader, server))
        try:
            if await self._answer(answers, link) == "rst":
                _reset(writer)
        finally:
            asking.cancel()
            server.close()
            writer.close()

    async def _answer(self, answers: asyncio.StreamReader, link: _Link) -> How | None:
        """Copy until the server's end, or until a cut: how that is done."""
        plan: tuple[int, How] | None = None
        with contextlib.suppress(OSError):
            while data := await answers.read(_CHUNK):
                before, has_begun = len(link.seen), _STREAM in link.seen
                link.seen += data
                if not has_begun:
                    plan = self._plans.popleft() if self._plans and _STREAM in link.seen else None
                if plan is not None and (end := _end_of(link.seen, plan[0])):
                    await link.answer(link.seen[before:end])
                    self.cuts += 1
                    return plan[1]
                await link.answer(data)
        return None

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=5)


def _end_of(seen: bytes, events: int) -> int:
    """Where so many events end; 0 while that is not seen."""
    at = seen.find(_STREAM)
    for _ in range(events):
        at = seen.find(_END, at) + len(_END)
        if at < len(_END):
            return 0
    return at


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
