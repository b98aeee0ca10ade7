"""A broken stream goes on: the events after a number, from the stream log, and on as the generation writes them.

It knows neither who generates nor what the events mean. A stream whose rest does not come ends with an error event and
a connection that is cut, never as if it were whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from serving.errors import (
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    RequestError,
    ShuttingDown,
    StateUnavailable,
    StoreDown,
)
from serving.front import events
from serving.front.cold.edge import raw_headers
from serving.front.cold.parts import State
from serving.front.dialect import Dialect
from serving.front.state.records import Key
from serving.front.state.running import Running
from serving.front.state.stores import Chunk, Replay, StreamLog

_log = logging.getLogger("tidegate.front")
_POLL_SECONDS = 0.05
# How long a stream may stay as it is once nobody is known to write it, and how long Redis may be away in its middle.
_PATIENCE_SECONDS = 2.0
_BEGINS_WITHIN_SECONDS = 0.5


class Broken(Exception):
    """The rest of a stream does not come; its client has been told."""


class Resumed(StreamingResponse):
    """Ends without the last chunk when its body is `Broken`, so that the server cuts the connection."""

    media_type = "text/event-stream"

    def __init__(self, body: AsyncIterator[bytes], request_id: str) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no", "x-request-id": request_id}
        super().__init__(body, headers=headers)

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(Broken):
            await super().stream_response(send)


def is_asked(query: Mapping[str, str]) -> bool:
    """Whether a GET asks for the stream. Raises `InvalidRequest` naming `stream`."""
    given = query.get("stream", "false").lower()
    if given not in ("true", "false", "1", "0"):
        raise InvalidRequest("`stream` must be true or false.", param="stream", code="invalid_value")
    return given in ("true", "1")


def position(request: Request) -> int:
    """The number of the last event that the client has; -1: none. Raises `InvalidRequest` naming where it says so."""
    name, given = "starting_after", request.query_params.get("starting_after")
    if given is None and (header := raw_headers(request).get(b"last-event-id")):
        name, given = "Last-Event-ID", header.decode("latin-1")
    if given is None:
        return -1
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidRequest(f"`{name}` must be the number of an event.", param=name, code="invalid_value")
    return int(given)


async def begin(state: State, key: Key, after: int) -> Replay | None:
    """What the log holds beyond this event; None when it holds nothing of this stream, or no longer from there on.

    Raises `StateUnavailable`, and `InvalidRequest` naming `starting_after` when a finished stream has no such event.
    """
    if state.streams is None:
        raise StateUnavailable("Streams cannot be resumed on this server: it has no Redis.", code="resume_unavailable")
    try:
        found = await _begun(state.streams, key, after)
        if found is None or _has_gap(found, after):
            return None
        if found.ended and not found.chunks:
            await _check_end(state.streams, key, after)
    except StoreDown:
        raise StateUnavailable("Streams cannot be resumed right now. Try again shortly.") from None
    return found


async def _begun(streams: StreamLog, key: Key, after: int) -> Replay | None:
    """Its client may be here before the log is, on the way from another replica."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _BEGINS_WITHIN_SECONDS
    while True:
        found = await streams.read(key, after)
        if found is not None or clock() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)


async def _check_end(streams: StreamLog, key: Key, after: int) -> None:
    whole = await streams.read(key, -1)
    if whole is not None and whole.chunks and (last := whole.chunks[-1].last) < after:
        message = f"`starting_after` is {after}, but the last event of this stream is {last}."
        raise InvalidRequest(message, param="starting_after", code="invalid_value")


def follow(state: State, key: Key, dialect: Dialect) -> Follower:
    """The reader of a stream that `begin` found."""
    assert state.streams is not None
    return Follower(state.streams, key, dialect, state.running, state.heartbeat_seconds, state.total_seconds)


@dataclass(frozen=True, slots=True)
class Follower:
    """Reads one stream's log to its end."""

    streams: StreamLog
    key: Key
    dialect: Dialect
    running: Running
    heartbeat_seconds: float
    total_seconds: float

    async def body(self, replay: Replay, after: int) -> AsyncIterator[bytes]:
        """The events after `after`, beginning with those in `replay`; raises `Broken` after an error event."""
        try:
            async for data in self._events(replay, after):
                yield data
        except RequestError as error:
            _log.warning("stream %s of %s: %s", self.key.id, self.key.tenant, error.message)
            yield self.dialect.error_event(error)
            raise Broken from None

    async def _events(self, replay: Replay, after: int) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        started = written = spoke = clock()
        while True:
            for chunk in replay.chunks:
                data, after = _cut(chunk, after), max(after, chunk.last)
                written = spoke = clock()
                yield data
                if replay.ended and chunk is replay.chunks[-1] and self._failed(data):
                    raise Broken
            now = clock()
            if replay.ended:
                return
            if not replay.has_owner and now - written > _PATIENCE_SECONDS:
                raise EngineFailed("The server that generated this stream is gone.", code="stream_lost")
            if self.running.is_ending:
                raise ShuttingDown("The server is shutting down. Resume the stream.")
            if now - started > self.total_seconds:
                raise EngineTimeout("The request took longer than this server allows.")
            if now - spoke > self.heartbeat_seconds:
                spoke = now
                yield self.dialect.heartbeat
            await asyncio.sleep(_POLL_SECONDS)
            replay = await self._read(after)

    async def _read(self, after: int) -> Replay:
        clock = asyncio.get_running_loop().time
        deadline = clock() + _PATIENCE_SECONDS
        while True:
            try:
                found = await self.streams.read(self.key, after)
            except StoreDown:
                if clock() > deadline:
                    raise StateUnavailable("The rest of this stream cannot be read. Try again shortly.") from None
                await asyncio.sleep(_POLL_SECONDS)
                continue
            if found is None or _has_gap(found, after):
                raise EngineFailed("The rest of this stream is no longer kept.", code="stream_lost")
            return found

    def _failed(self, data: bytes) -> bool:
        whole, _ = events.split(data)
        return bool(whole) and self.dialect.read(whole[-1]).error is not None


def _has_gap(replay: Replay, after: int) -> bool:
    return bool(replay.chunks) and replay.chunks[0].first > after + 1


def _cut(chunk: Chunk, after: int) -> bytes:
    """The events of a chunk whose number is greater than `after`."""
    if after < chunk.first:
        return chunk.data
    whole, rest = events.split(chunk.data)
    return b"".join(whole[after + 1 - chunk.first :]) + rest
