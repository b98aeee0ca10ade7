"""One kept-alive connection to an engine: HTTP/1.1 in and out of a socket; it knows no pool policy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from serving.adapters.engines.reply import EngineReply
from serving.errors import Lost

_RECEIVE_BYTES = 512 * 1024
# A machine that is gone says nothing, not even that it is. One that is silent for 3 s is asked every 2 s, and is lost
# after 10 s without a sign of life. A machine whose engine computes for minutes, or hangs, gives signs.
_SIGNS_OF_LIFE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)


class Owner(Protocol):
    """Who the connection belongs to."""

    def made(self, connection: EngineConnection) -> None:
        """It is open."""

    def released(self, connection: EngineConnection, reply: EngineReply) -> None:
        """It brought this reply and may be used again."""

    def lost(self, connection: EngineConnection, reply: EngineReply | None) -> None:
        """It is gone, in the middle of this reply if one is given."""


class EngineConnection(asyncio.Protocol):
    """Carries one request at a time."""

    def __init__(self, clock: Callable[[], float], owner: Owner) -> None:
        self.reply: EngineReply | None = None
        self.last_at = clock()
        self.uses = 0
        self._clock = clock
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._content_type = b""
        self._ends_with_connection = False
        self._has_length = False

    def is_usable(self, since: float) -> bool:
        """It is open, free, and was not idle all the time since then, monotonic seconds."""
        transport = self._transport
        return self.last_at > since and self.reply is None and transport is not None and not transport.is_closing()

    def start(self, reply: EngineReply) -> None:
        """Send the reply's request."""
        self.reply = reply
        self.uses += 1
        self.last_at = self._clock()
        self._content_type = b""
        self._has_length = self._ends_with_connection = False
        reply.source = self
        reply.was_sent = True
        if self._transport is not None:
            self._transport.write(reply.request)

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.last_at = self._clock()
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        # Left to itself the kernel grows this buffer to tens of megabytes for a client that does not read.
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        for option in _SIGNS_OF_LIFE:
            own.setsockopt(*option)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        reply = self.reply
        if reply is None:
            self.close()
            return
        self.last_at = self._clock()
        reply.received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            reply.fail(Lost("not HTTP"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.source = None
            if self._ends_with_connection and exc is None:
                reply.end()
                reply = None
        self._owner.lost(self, reply)

    # httptools' parser

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"content-type":
            self._content_type = value
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._ends_with_connection = not self._has_length and status >= 200 and status not in (204, 304)
        if self.reply is not None:
            self.reply.head(status, self._content_type, self.last_at)

    def on_body(self, piece: bytes) -> None:
        if self.reply is not None:
            self.reply.feed(piece, self.last_at)

    def on_message_complete(self) -> None:
        reply, self.reply = self.reply, None
        keep_alive = self._parser.should_keep_alive()
        if reply is not None:
            reply.source = None
            reply.end()
        if keep_alive and reply is not None:
            self._owner.released(self, reply)
        else:
            self.close()
