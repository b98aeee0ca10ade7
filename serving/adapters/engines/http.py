"""The pooled HTTP/1.1 client for engines: one `EngineReply` per request over kept-alive connections.

It knows bytes, time-outs and connections; what an answer means, and whether to ask elsewhere, is for the flow.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from serving.adapters.engines.connection import EngineConnection
from serving.adapters.engines.reply import EngineReply
from serving.errors import Lost, Silent, Unreachable
from serving.front.route import Endpoint
from serving.front.upstream import Post

# A used connection that breaks this soon was being closed by the engine when our request came.
_STALE_SECONDS = 0.5


Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Patience:
    """Time-outs, seconds."""

    connect: float
    first_byte: float
    idle: float
    keep_alive: float


class EnginePool:
    """Owns every connection to every engine, by address."""

    def __init__(self, clock: Clock, patience: Patience, loop: asyncio.AbstractEventLoop, api_key: str | None) -> None:
        self._clock = clock
        self._patience = patience
        self._loop = loop
        self._api_key = api_key
        self._hosts: dict[str, HostPool] = {}

    def send(self, endpoint: Endpoint, post: Post) -> EngineReply:
        """POST a JSON body; the reply is filled as bytes come. Never raises: a failure is the reply's.

        A kept-alive connection that the engine closes at this very moment costs a second try; a fresh one cannot.
        """
        host = self._host(endpoint)
        head = b"%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (
            host.head(post.path),
            post.request_id.encode(),
            len(post.body),
        )
        reply = EngineReply(head + post.body, wants_stream=post.stream, is_generation=True)
        return host.connect(reply) if post.fresh else host.start(reply)

    def get(self, endpoint: Endpoint, path: str, token: str | None = None) -> EngineReply:
        """GET a path, whole; with a bearer token of its own where one is given."""
        host = self._host(endpoint)
        authorization = b"authorization: Bearer %b\r\n" % token.encode() if token else b""
        return host.start(EngineReply(host.head(path, b"GET") + authorization + b"\r\n", wants_stream=False))

    def tick(self) -> None:
        """Called every now and then: end what waited too long."""
        now = self._clock()
        for key, host in list(self._hosts.items()):
            host.tick(now)
            if host.is_unused:
                del self._hosts[key]

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()

    def _host(self, endpoint: Endpoint) -> HostPool:
        host = self._hosts.get(endpoint.id)
        if host is None:
            host = HostPool(endpoint, self._clock, self._patience, self._loop, self._api_key)
            self._hosts[endpoint.id] = host
        return host


class HostPool:
    """The connections to one engine; the last one released is the first one used again."""

    def __init__(
        self, address: Endpoint, clock: Clock, patience: Patience, loop: asyncio.AbstractEventLoop, api_key: str | None
    ) -> None:
        self._address = address
        self._clock = clock
        self._patience = patience
        self._loop = loop
        self._authorization = b"authorization: Bearer %b\r\n" % api_key.encode() if api_key else b""
        self._heads: dict[tuple[str, bytes], bytes] = {}
        self._idle: list[EngineConnection] = []
        self._all: set[EngineConnection] = set()
        self._may_resend = True
        self._connecting = 0
        self._tls = ssl.create_default_context() if address.scheme == "https" else None

    def head(self, path: str, method: bytes = b"POST") -> bytes:
        """Request line and the header lines that all requests of a path share."""
        head = self._heads.get((path, method))
        if head is None:
            target, host = (self._address.path + path).encode(), self._address.id.partition("/")[0].encode()
            head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (method, target, host, self._authorization)
            if method == b"POST":
                head += b"content-type: application/json\r\n"
            self._heads[path, method] = head
        return head

    def start(self, reply: EngineReply) -> EngineReply:
        """Send it, by a connection that is open if there is one."""
        oldest = self._clock() - self._patience.keep_alive
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(oldest):
                connection.start(reply)
                return reply
            connection.close()
        return self.connect(reply)

    def connect(self, reply: EngineReply) -> EngineReply:
        """Send it by a new connection."""
        self._connecting += 1
        reply.connecting = self._loop.create_task(self._open(reply))
        reply.connecting.add_done_callback(self._connected)
        return reply

    def tick(self, now: float) -> None:
        for connection in list(self._all):
            reply, silence = connection.reply, now - connection.last_at
            if reply is None or reply.discarded:
                if silence > self._patience.keep_alive:
                    connection.close()
            elif not reply.paused and silence > (self._patience.idle if reply.received else self._patience.first_byte):
                reply.fail(Silent("no bytes in time"))
                connection.close()

    def close(self) -> None:
        for connection in list(self._all):
            connection.close()

    def made(self, connection: EngineConnection) -> None:
        self._all.add(connection)

    def released(self, connection: EngineConnection, reply: EngineReply) -> None:
        self._idle.append(connection)
        self._may_resend = self._may_resend or reply.is_generation

    def lost(self, connection: EngineConnection, reply: EngineReply | None) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if reply is None or reply.discarded:
            return
        was_stale = connection.uses > 1 and self._clock() - connection.last_at < _STALE_SECONDS
        if was_stale and not reply.received and self._may_resend:
            # Not again before an answer has come: an engine that breaks what it gets would get all of it twice.
            self._may_resend = False
            self.connect(reply)
        else:
            reply.fail(Lost("connection lost"))

    @property
    def is_unused(self) -> bool:
        return not self._all and not self._connecting

    def _connected(self, _: asyncio.Task[None]) -> None:
        self._connecting -= 1

    async def _open(self, reply: EngineReply) -> None:
        address = self._address
        try:
            async with asyncio.timeout(self._patience.connect):
                _, connection = await self._loop.create_connection(
                    lambda: EngineConnection(self._clock, self), address.host, address.port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            # An engine that is gone after it got the request may be gone because of it.
            reply.fail(Lost("connection lost") if reply.was_sent else Unreachable(type(error).__name__))
            return
        reply.connecting = None
        connection.start(reply)
