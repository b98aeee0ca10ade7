"""Writes the events of running streams to Redis in batches; it does not read them.

An entry's id is the number of the event after its last one, and a running number; 0-1 says that the stream has begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any
from weakref import WeakSet

from serving.adapters.redis.connection import RedisConnection
from serving.front.state.records import Key

BEGUN = "0-1"
# A batch waits longer the more streams run: an entry costs ten times as much as an event.
_SHORTEST_BATCH_SECONDS, _LONGEST_BATCH_SECONDS = 0.02, 0.1
_BATCH_SECONDS_PER_STREAM = 0.0002
_BATCH_BYTES = 16 * 1024
# The oldest events go in slices of this share of what may be kept.
_SLICES = 16
# A stream that has no end yet keeps its key for this share of the time before that is extended.
_EXTEND_AFTER = 0.3
# Further ones expire by themselves.
_MOST_BROKEN = 10_000


class Batches:
    """What all writers of a replica share: the connection, the limits and one timer."""

    def __init__(self, connection: RedisConnection, owner: bytes, *, ttl_seconds: float, most_bytes: int) -> None:
        self.connection = connection
        self.owner = owner
        self.ttl = round(ttl_seconds * 1000)
        self.most_bytes = most_bytes
        self.writers: WeakSet[RedisStreamWriter] = WeakSet()
        self._loop = asyncio.get_running_loop()
        self._due: list[RedisStreamWriter] = []
        self._broken: set[bytes] = set()
        self._extend_at = 0.0

    def soon(self, writer: RedisStreamWriter) -> None:
        """Let it flush with the next batch."""
        if not self._due:
            wait = max(_SHORTEST_BATCH_SECONDS, len(self.writers) * _BATCH_SECONDS_PER_STREAM)
            self._loop.call_later(min(wait, _LONGEST_BATCH_SECONDS), self.flush)
        self._due.append(writer)

    def flush(self) -> None:
        due, self._due = self._due, []
        for writer in due:
            writer.flush()

    def drop(self, name: bytes) -> None:
        """Nobody may read it any more: events are missing."""
        if len(self._broken) < _MOST_BROKEN:
            self._broken.add(name)

    def tick(self) -> None:
        """Now and then: drop broken streams, keep those that run from expiring."""
        if not self.connection.is_up:
            return
        broken, self._broken = self._broken, set()
        for name in broken:
            self.connection.call(("UNLINK", name), partial(self._dropped, name))
        if self._loop.time() >= self._extend_at:
            self._extend_at = self._loop.time() + _EXTEND_AFTER * self.ttl / 1000
            for writer in self.writers:
                writer.extend()

    def _dropped(self, name: bytes, reply: Any) -> None:
        if isinstance(reply, Exception):
            self.drop(name)


class RedisStreamWriter:
    """`StreamWriter`. Once an entry was lost, the stream is dropped and what follows is not written."""

    __slots__ = (
        "__weakref__", "_batches", "_bytes", "_entries", "_is_broken", "_is_over", "_kept", "_kept_bytes", "_name",
        "_next", "_parts", "_written", "key",
    )  # fmt: skip

    def __init__(self, batches: Batches, key: Key, name: bytes) -> None:
        self.key = key
        self._batches = batches
        self._name = name
        self._is_over = self._is_broken = False
        self._parts: list[bytes] = []
        self._bytes = 0
        # Number of the next event, and of the next that was not written yet.
        self._next = self._written = 0
        self._entries = 1
        # Slices that are kept: bytes, and the number of the event after the last one.
        self._kept: deque[tuple[int, int]] = deque([(0, 0)])
        self._kept_bytes = 0
        call = batches.connection.call
        call((b"UNLINK", name))
        call((b"XADD", name, BEGUN, b"o", batches.owner), self._landed)
        call((b"PEXPIRE", name, batches.ttl))
        batches.writers.add(self)

    def add(self, data: bytes, count: int) -> None:
        if self._is_over:
            return
        if not self._parts:
            self._batches.soon(self)
        self._parts.append(data)
        self._next += count
        self._bytes += len(data)
        if self._bytes >= _BATCH_BYTES:
            self._write()

    def end(self, data: bytes, count: int) -> None:
        if self._is_over:
            return
        self._parts.append(data)
        self._next += count
        self._write(b"e", b"")
        self.extend()
        self._is_over = True
        self._batches.writers.discard(self)

    def flush(self) -> None:
        """Write what was added since."""
        if self._parts and not self._is_over:
            self._write()

    def extend(self) -> None:
        self._batches.connection.call((b"PEXPIRE", self._name, self._batches.ttl))

    def _write(self, *more: bytes) -> None:
        batches, data, first = self._batches, b"".join(self._parts), self._written
        self._parts.clear()
        self._bytes, self._written = 0, self._next
        if len(data) > batches.most_bytes:
            self._break()
            return
        self._entries += 1
        entry_id = f"{self._next}-{self._entries}"
        # NOMKSTREAM: a stream that vanished does not begin anew in its middle.
        begin = (b"XADD", self._name, b"NOMKSTREAM", entry_id, b"o", batches.owner, b"f", first, b"d", data)
        batches.connection.call(begin + more, self._landed)
        self._trim(len(data))

    def _trim(self, size: int) -> None:
        """Keep count of what is kept; let go of the oldest slices beyond the limit."""
        kept, most = self._kept, self._batches.most_bytes
        self._kept_bytes += size
        newest = kept[-1][0] + size
        if newest > most // _SLICES:
            kept.append((size, self._next))
        else:
            kept[-1] = (newest, self._next)
        gone = 0
        while self._kept_bytes > most:
            slice_bytes, gone = kept.popleft()
            self._kept_bytes -= slice_bytes
        if gone:
            self._batches.connection.call((b"XTRIM", self._name, b"MINID", b"=", f"{gone + 1}-0"))

    def _landed(self, reply: Any) -> None:
        if reply is None or isinstance(reply, Exception):
            self._break()

    def _break(self) -> None:
        if not self._is_broken:
            self._is_broken = self._is_over = True
            self._parts.clear()
            self._batches.writers.discard(self)
            self._batches.drop(self._name)
