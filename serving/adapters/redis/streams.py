"""Resumable streams in Redis, readable and cancellable from every replica; `redis_stream_writer` writes them.

A replica lives as long as its own key does, which it extends every second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import orjson

from serving.adapters.redis.stream_writer import Batches, RedisStreamWriter
from serving.adapters.redis.turns import tagged
from serving.errors import StoreDown
from serving.front.state.records import Key

CANCELS = b"tg:cancel"
_OWNER_SECONDS = 5.0
_EXTEND_OWNER_AFTER_SECONDS = 1.0
# One reply holds at most this many entries: about 1 MB, so that other commands need not wait long behind it.
_PAGE = 64
# How long a replica that could not listen finds out later that a stream was cancelled.
_CANCEL_SECONDS = 60.0


class StoredChunk(NamedTuple):
    """`Chunk`."""

    first: int
    last: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredReplay:
    """`Replay`."""

    chunks: list[StoredChunk]
    ended: bool
    has_owner: bool


class RedisStreams:
    """`StreamLog`. `on_cancel` is told of every cancelled generation, whoever runs it."""

    def __init__(self, batches: Batches, on_cancel: Callable[[Key], None], clock: Callable[[], float]) -> None:
        self._connection = batches.connection
        self._batches = batches
        self._on_cancel = on_cancel
        self._clock = clock
        self._extend_owner_at = 0.0

    def open(self, key: Key) -> RedisStreamWriter:
        return RedisStreamWriter(self._batches, key, _events(key))

    async def read(self, key: Key, after: int) -> StoredReplay | None:
        name = _events(key)
        newest = await self._ask(b"XREVRANGE", name, b"+", b"-", b"COUNT", 1)
        if not newest:
            return None
        owner = newest[0][1][1]
        # Asked before the events are read: one that is dead by then has written all it ever will.
        alive = self._connection.call((b"EXISTS", _replica(owner)))
        entries = await self._entries(name, b"%d-0" % (after + 2))
        await alive
        if isinstance(alive.reply, Exception):
            raise StoreDown(str(alive.reply))
        chunks = [chunk for chunk in map(_chunk, entries) if chunk.data]
        if not _follow(chunks, after) or (not chunks and _chunk(newest[0]).last > after):
            return None
        ended = any(_is_end(entry) for entry in (newest[0], *entries[-1:]))
        return StoredReplay(chunks, ended, owner == self._batches.owner or alive.reply == 1)

    async def _entries(self, name: bytes, start: bytes) -> list[Any]:
        entries: list[Any] = []
        while page := await self._ask(b"XRANGE", name, start, b"+", b"COUNT", _PAGE):
            entries += page
            if len(page) < _PAGE:
                break
            start = b"(" + page[-1][0]
        return entries

    async def forget(self, key: Key) -> None:
        await self._connection.call((b"UNLINK", _events(key)))

    async def cancel(self, key: Key) -> bool:
        self._connection.call((b"SET", tagged(key, b"cancelled"), b"1", b"PX", round(_CANCEL_SECONDS * 1000)))
        call = self._connection.call((b"PUBLISH", CANCELS, orjson.dumps(list(key))))
        await call
        return isinstance(call.reply, int) and call.reply > 0

    def told(self, payload: bytes) -> None:
        """A message of the channel that cancels go through."""
        try:
            tenant, stream = orjson.loads(payload)
        except (ValueError, TypeError):
            return
        self._on_cancel(Key(tenant, stream))

    def listen(self) -> None:
        """The channel is heard again: ask what was said meanwhile."""
        for writer in list(self._batches.writers):
            self._connection.call(
                (b"EXISTS", tagged(writer.key, b"cancelled")), partial(self._was_cancelled, writer.key)
            )

    def tick(self) -> None:
        """At least every second: say that this replica lives."""
        self._batches.tick()
        if self._clock() >= self._extend_owner_at and self._connection.is_up:
            self._extend_owner_at = self._clock() + _EXTEND_OWNER_AFTER_SECONDS
            self.claim()

    def claim(self) -> None:
        """Say that this replica lives."""
        self._connection.call((b"SET", _replica(self._batches.owner), b"1", b"PX", round(_OWNER_SECONDS * 1000)))

    async def close(self) -> None:
        """Write what is left, and say that nobody writes here any more."""
        self._batches.flush()
        await self._connection.call((b"UNLINK", _replica(self._batches.owner)))

    def _was_cancelled(self, key: Key, reply: Any) -> None:
        if reply == 1:
            self._on_cancel(key)

    async def _ask(self, *command: bytes | int) -> Any:
        call = self._connection.call(command)
        await call
        if isinstance(call.reply, Exception):
            raise StoreDown(str(call.reply))
        return call.reply


def _events(key: Key) -> bytes:
    return tagged(key, b"events")


def _replica(owner: bytes) -> bytes:
    return b"tg:replica:" + owner


def _chunk(entry: list[Any]) -> StoredChunk:
    """`[id, [o, OWNER, f, FIRST, d, DATA, e, ""]]`; the entry that only begins a stream has an owner alone."""
    last = int(entry[0].partition(b"-")[0]) - 1
    fields = entry[1]
    return StoredChunk(int(fields[3]), last, fields[5]) if len(fields) > 2 else StoredChunk(0, last, b"")


def _is_end(entry: list[Any]) -> bool:
    return len(entry[1]) > 6


def _follow(chunks: list[StoredChunk], after: int) -> bool:
    """Nothing is missing after this event."""
    for chunk in chunks:
        if chunk.first > after + 1:
            return False
        after = chunk.last
    return True
