"""One engine's answer while it comes in: holds bytes until somebody takes them; it knows no socket."""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

from serving.errors import Lost, UpstreamError
from serving.front.eager import Wake
from serving.front.upstream import Sink

_EVENT_END = re.compile(rb"\r?\n\r?\n")
_BUFFER_BYTES = 256 * 1024
_LARGEST_ANSWER = 64 * 1024 * 1024


class Source(Protocol):
    """The connection that bytes come from."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...


class EngineReply:
    """`request` is the bytes that ask for it.

    `arrived` happens at the first whole event of a stream with status 200, else when all is there, or with `error`.
    """

    status = 0
    is_stream = False
    first_at = 0.0
    was_sent = False
    received = False
    discarded = False
    paused = False
    source: Source | None = None
    connecting: asyncio.Task[None] | None = None
    error: UpstreamError | None = None
    _size = 0
    _sink: Sink | None = None
    _ended = False

    def __init__(self, request: bytes, *, wants_stream: bool, is_generation: bool = False) -> None:
        self.request = request
        self.is_generation = is_generation
        self.arrived = Wake()
        self._wants_stream = wants_stream
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """What has come and was not taken."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def attach(self, sink: Sink) -> None:
        """Hand over what has come, and from now on everything at once."""
        pieces, self._pieces = self._pieces, []
        self._sink = sink
        self._size = 0
        self.resume()
        for piece in pieces:
            sink.feed(piece)
        if self.error is not None:
            sink.lost(self.error)
        elif self._ended:
            sink.end()

    def pause(self) -> None:
        if not self.paused:
            self.paused = True
            if self.source is not None:
                self.source.pause()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if self.source is not None:
                self.source.resume()

    def discard(self) -> None:
        """The rest does not matter; the connection may be used again once it has come."""
        self.discarded = True
        self._sink = None
        if self.paused:
            self.resume()

    def abort(self) -> None:
        """Make the engine stop: nothing more is wanted."""
        self.discarded = True
        self._sink = None
        if self.connecting is not None:
            self.connecting.cancel()
        source, self.source = self.source, None
        if source is not None and not self._ended:
            source.close()

    # From the connection.

    def head(self, status: int, content_type: bytes, at: float) -> None:
        self.status = status
        self.first_at = at
        self.is_stream = status == 200 and content_type.startswith(b"text/event-stream")

    def feed(self, piece: bytes, at: float) -> None:
        if self._sink is not None:
            self._sink.feed(piece)
        elif not self.discarded:
            self._hold(piece, at)

    def end(self) -> None:
        self._ended = True
        self.arrived.set()
        if self._sink is not None:
            self._sink.end()

    def fail(self, error: UpstreamError) -> None:
        if self._ended or self.error is not None:
            return
        self.error = error
        self.arrived.set()
        if self._sink is not None:
            self._sink.lost(error)

    def _hold(self, piece: bytes, at: float) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self.is_stream and self._wants_stream:
            if not self.arrived.happened and _EVENT_END.search(self.body):
                self.first_at = at
                self.arrived.set()
            if self._size > _BUFFER_BYTES:
                self.pause()
                self.arrived.set()
        elif self._size > _LARGEST_ANSWER:
            self.fail(Lost("answer too large"))
            self.abort()
