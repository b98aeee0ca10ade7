"""One socket to a Redis: the commands of one loop turn leave in one write, replies come back in their order.

It knows neither what commands mean nor when to connect again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import hiredis

from serving.errors import StoreDown
from serving.front.eager import Wake

Command = tuple[bytes | str | int | float, ...]
# What waits in this process for a Redis that reads nothing.
_MOST_UNSENT_BYTES = 16 * 1024 * 1024
_MOST_IN_FLIGHT = 8192
# So much leaves before the loop's turn is over: the server begins while this process goes on.
_EARLY_BYTES = 8 * 1024
# The reader moves all that it has not read yet after each reply.
_SLICE_BYTES = 16 * 1024
# One more turn of the loop: what came while this process did something else is read before anything is given up.
_SECOND_LOOK_SECONDS = 0.002


class Call(Wake):
    """A command; once it has happened `reply` holds what came: an exception where it failed, or may have failed.

    `on_reply` gets it too, whether or not anybody still waits.
    """

    __slots__ = ("command", "on_reply", "reply", "sent_at")

    def __init__(self, command: Command, on_reply: Callable[[Any], None] | None = None) -> None:
        super().__init__()
        self.command = command
        self.on_reply = on_reply
        self.reply: Any = None
        self.sent_at = 0.0

    def finish(self, reply: Any) -> None:
        self.reply = reply
        if self.on_reply is not None:
            self.on_reply(reply)
        self.set()


@dataclass
class Counts:
    """Since the start."""

    commands: int = 0
    failures: int = 0
    reconnects: int = 0


class Owner(Protocol):
    """Who a link belongs to."""

    @property
    def counts(self) -> Counts: ...

    @property
    def on_message(self) -> Callable[[bytes], None] | None:
        """Gets what is published, on a link that subscribes."""

    def refused(self, call: Call, error: hiredis.ReplyError) -> bool:
        """The server answered with an error; True: the call goes on."""

    def lost(self, link: Link, reason: str) -> None:
        """It is gone; its calls fail next."""


class Link(asyncio.Protocol):
    """An open connection. One call that is not answered in time ends it, and with it every call in flight."""

    def __init__(self, owner: Owner, timeout_seconds: float) -> None:
        self._owner = owner
        self._counts = owner.counts
        self._on_message = owner.on_message
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._in_flight: deque[Call] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self.is_open = True
        self._has_room = True
        self._looks = False
        self._overdue: Call | None = None
        self._transport: asyncio.Transport | None = None

    def call(self, call: Call) -> None:
        """Send it; a call that cannot be sent fails at once."""
        in_flight = self._in_flight
        if not self.is_open or len(in_flight) >= _MOST_IN_FLIGHT or self._unsent_bytes >= _MOST_UNSENT_BYTES:
            self._counts.failures += 1
            call.finish(StoreDown("too much in flight" if self.is_open else "not connected"))
            return
        packed = hiredis.pack_command(call.command)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        self._unsent_bytes += len(packed)
        in_flight.append(call)
        call.sent_at = self._loop.time()
        if self._unsent_bytes >= _EARLY_BYTES:
            self._flush()
        if not self._looks:
            self._looks = True
            self._loop.call_later(self._timeout_seconds, self._look)

    def close(self, reason: str) -> None:
        """End it; every call in flight fails."""
        if not self.is_open:
            return
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        self._owner.lost(self, reason)
        in_flight, self._in_flight = self._in_flight, deque()
        self._counts.failures += len(in_flight)
        for call in in_flight:
            call.finish(StoreDown(reason))

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent and self._has_room and self.is_open and self._transport is not None:
            self._unsent, self._unsent_bytes = [], 0
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _look(self) -> None:
        """Is the oldest call overdue? One timer serves all calls, as they are answered in order."""
        if not self.is_open or not self._in_flight:
            self._looks = False
            return
        oldest = self._in_flight[0]
        left = oldest.sent_at + self._timeout_seconds - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self._look)
        elif self._overdue is oldest:
            self.close("no answer in time")
        else:
            self._overdue = oldest
            self._loop.call_later(_SECOND_LOOK_SECONDS, self._look)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_EARLY_BYTES // 2)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            for start in range(0, len(data), _SLICE_BYTES):
                reader.feed(data, start, min(_SLICE_BYTES, len(data) - start))
                # RESP2 has no false: it means that no whole reply is left.
                while self.is_open and (reply := reader.gets()) is not False:
                    self._take(reply)
        except hiredis.ProtocolError:
            self.close("what came is not Redis's protocol")

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"connection lost{f': {exc}' if exc else ''}")

    def pause_writing(self) -> None:
        self._has_room = False

    def resume_writing(self) -> None:
        self._has_room = True
        self._flush()

    def _take(self, reply: Any) -> None:
        if self._on_message is not None and type(reply) is list and reply[0] == b"message":
            self._on_message(reply[2])
        elif not self._in_flight:
            self.close("a reply that nobody asked for")
        else:
            call = self._in_flight.popleft()
            if isinstance(reply, hiredis.ReplyError):
                if self._owner.refused(call, reply):
                    return
                self._counts.failures += 1
            call.finish(reply)
