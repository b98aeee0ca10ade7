"""A TCP proxy before one server that can be told, at any time, to lose, hold back or break what passes through it.

It runs on a loop thread of its own and knows no protocol above TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tests.support.ports import free_port

T = TypeVar("T")

# pass        everything goes through
# refuse      a new connection is reset; open ones go on
# black_hole  what comes from either side vanishes, connections stay open
# half_open   requests arrive, answers vanish
# stall       bytes are held back and delivered when the mode changes, even where their sender has left meanwhile
# slow        each chunk waits `delay_seconds`, and its length at `bytes_per_second`
Mode = Literal["pass", "refuse", "black_hole", "half_open", "stall", "slow"]
_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Counts:
    """What happened so far; `cut` counts connections that the proxy reset after it had taken them."""

    accepted: int = 0
    refused: int = 0
    unreachable: int = 0
    cut: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    bytes_swallowed: int = 0


@dataclass(eq=False)
class _Link:
    """One client's connection, and the one to the server where there is one. Tainted: bytes are missing in it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    tainted: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        for task in self.tasks:
            task.cancel()
        for writer in (self.client, self.server):
            if writer is not None:
                _reset(writer)


class ChaosProxy:
    """Listens on `address` from construction to `close`. Modes: see `Mode`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.address = ("127.0.0.1", free_port())
        self.counts = Counts()
        self.mode: Mode = "pass"
        self._delay_seconds = 0.0
        self._bytes_per_second: float | None = None
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)
        self._thread.start()
        self._changed = asyncio.Event()
        self._server = self._call(self._listen)

    def __enter__(self) -> ChaosProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._links)

    def switch(self, mode: Mode, *, delay_seconds: float = 0.0, bytes_per_second: float | None = None) -> None:
        """From now on, for open connections too. One that bytes are missing in is reset when the mode changes."""

        async def apply() -> None:
            self.mode, self._delay_seconds, self._bytes_per_second = mode, delay_seconds, bytes_per_second
            self._reset([link for link in self._links if link.tainted])
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(apply)

    def cut(self) -> int:
        """Reset every open connection; how many those were."""

        async def apply() -> int:
            return self._reset(list(self._links))

        return self._call(apply)

    def close(self) -> None:
        """No effect on a proxy that is closed."""
        if self._loop.is_closed():
            return

        async def end() -> None:
            self._server.close()
            self._reset(list(self._links))
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self._call(end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, *self.address, backlog=512)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.accepted += 1
        if self.mode == "refuse":
            self.counts.refused += 1
            _reset(writer)
            return
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._carry(link, reader)
        except OSError:
            self.counts.unreachable += 1
            link.reset()
        finally:
            self._links.discard(link)

    async def _carry(self, link: _Link, reader: asyncio.StreamReader) -> None:
        pumps = []
        if self.mode == "black_hole":
            link.tainted = True
        else:
            answers, link.server = await asyncio.open_connection(*self.upstream)
            pumps.append(self._pump(link, answers, link.client, is_answer=True))
        pumps.append(self._pump(link, reader, link.server, is_answer=False))
        link.tasks = [self._loop.create_task(pump) for pump in pumps]
        await asyncio.wait(link.tasks)
        for writer in (link.client, link.server):
            if writer is not None:
                writer.close()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._hold(len(data))
                if writer is None or self.mode == "black_hole" or (self.mode == "half_open" and is_answer):
                    link.tainted = True
                    self.counts.bytes_swallowed += len(data)
                    continue
                self._count(len(data), is_answer)
                writer.write(data)
                await writer.drain()
        await self._hold(0)
        # Whoever left is missed by the other side, unless its word would have been lost with its bytes.
        if writer is not None and not link.tainted:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()

    async def _hold(self, size: int) -> None:
        while self.mode == "stall":
            await self._changed.wait()
        if self.mode == "slow" and size:
            rate = self._bytes_per_second
            await asyncio.sleep(self._delay_seconds + (size / rate if rate else 0))

    def _count(self, size: int, is_answer: bool) -> None:
        if is_answer:
            self.counts.bytes_down += size
        else:
            self.counts.bytes_up += size

    def _reset(self, links: list[_Link]) -> int:
        for link in links:
            link.reset()
            self._links.discard(link)
        self.counts.cut += len(links)
        return len(links)

    def _call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result(timeout=5)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN, whatever is unsent."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
