"""The hot path's place in uvicorn: generation POSTs go to the flow, everything else to the ASGI app as ever.

A subclass of uvicorn's httptools protocol that knows its cycles and its pipeline; `tests/http` pins what it must keep.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.errors import BodyTooLarge, ClientLeft, EngineTimeout, InvalidRequest, RequestError
from serving.front import heads
from serving.front.deadlines import Deadlines
from serving.front.dialect import ROUTES, Route, openai_error
from serving.front.eager import Run
from serving.front.edge import Edge
from serving.front.exchange import Exchange, error_head
from serving.front.wire import Arrived

_LINGER_SECONDS = 1.0
# What a client may send before its key is looked at; with a longer body the key has to be good.
_ANYBODYS_BYTES = 64 * 1024


class HotProtocol(HttpToolsProtocol):
    """One client connection. Generation requests are `Exchange`s among uvicorn's own cycles."""

    def __init__(self, edge: Edge, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._edge = edge
        self._running: Exchange | None = None
        self._head_size = 0
        self._segment_size = 0
        self._queued_size = 0
        self._in_head = True
        self._lingers = False
        self._deadlines = Deadlines(edge.clock())

    @property
    def is_running(self) -> bool:
        """A generation request is being answered."""
        return self._running is not None

    def tick(self, now: float) -> None:
        """Called every now and then: heartbeats and time-outs."""
        edge, running = self._edge, self._running
        if self._deadlines.is_stalled(now, edge.waits):
            self.transport.abort()
        elif self._deadlines.is_over(now, edge.waits):
            self.transport.close()
        elif running is not None and now - running.at > edge.total_seconds:
            running.stop(EngineTimeout("The request took longer than this server allows."))
        elif running is not None:
            running.heartbeat(now, edge.heartbeat_seconds)

    def stop(self, error: RequestError) -> None:
        """End the running generation with this error."""
        if self._running is not None:
            self._running.stop(error)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        self._deadlines.idle_since = None
        self._segment_size = len(data)
        self._queued_size = self._queued_size + len(data) if self.pipeline else 0
        if self._queued_size > self._edge.body_bytes:
            self._reject(BodyTooLarge("Too much is waiting on this connection for its earlier answers."))
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on_without_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._reject(InvalidRequest("This is not a valid HTTP request.", code="bad_http"))
            return
        if self._in_head and self._deadlines.receiving_since is not None:
            self._head_size += len(data)
            if self._head_size > self._edge.head_bytes:
                self._reject(heads.too_large())

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._head_size = 0
        self._in_head = True
        if self._deadlines.receiving_since is None:
            self._deadlines.receiving_since = self._edge.clock()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        headers = dict(self.headers)
        self.expect_100_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        if (error := self._bad_head(headers)) is not None:
            self._reject(error)
        if self._lingers or self.parser.should_upgrade():
            return
        route = (ROUTES.get(self.url) or self._route()) if self.parser.get_method() == b"POST" else None
        if route is None:
            self._hand_over()
        else:
            self._take(route, headers)
        if self.pipeline:
            # A client that leaves is only noticed while its socket is read.
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        cycle: Any = self.cycle
        if not isinstance(cycle, Exchange):
            super().on_body(body)
        elif not cycle.received_all:
            was_small = len(cycle.body) <= _ANYBODYS_BYTES
            cycle.body += body
            if len(cycle.body) > self._edge.body_bytes:
                self._refuse(cycle, BodyTooLarge(f"The body is larger than {self._edge.body_bytes} bytes."))
            elif was_small and len(cycle.body) > _ANYBODYS_BYTES:
                self._require_key(cycle)

    def on_message_complete(self) -> None:
        if self._lingers or self.parser.should_upgrade():
            return
        self._deadlines.receiving_since = None
        cycle: Any = self.cycle
        if not isinstance(cycle, Exchange):
            super().on_message_complete()
        elif not cycle.received_all:
            cycle.received_all = True
            self._run_if_next(cycle)

    def on_response_complete(self) -> None:
        done, self._running = self._running, None
        if done is not None and not done.keep_alive:
            self._close(lingers=done.refusal is not None)
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if not self.pipeline:
            self._deadlines.idle_since = self._edge.clock()
            return
        following: Any
        following, app = self.pipeline.pop()
        if isinstance(following, Exchange):
            following.is_next = True
            if following.received_all:
                # Not from here: a queue of requests that fail at once would nest as deep as it is long.
                self.loop.call_soon(self._run_following, following)
            else:
                self._run_if_next(following)
        else:
            self._start_asgi_task(following, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._deadlines.stalled_since = self._edge.clock()
        if self._running is not None:
            self._running.press(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._deadlines.stalled_since = None
        if self._running is not None:
            self._running.press(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop(ClientLeft("The client closed the connection."))
        self.pipeline.clear()
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange):
            self.cycle = None  # type: ignore[assignment]
        super().connection_lost(exc)

    def _read_on_without_upgrade(self, rest: bytes) -> None:
        """The parser takes what follows an Upgrade for another protocol; we speak none, so it is read as HTTP."""
        if self.parser.get_method() == b"CONNECT":
            self._reject(InvalidRequest("This server opens no tunnels.", code="bad_http"))
            return
        head = heads.without_upgrade(self.parser.get_method(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _hand_over(self) -> None:
        """Let uvicorn begin this message after all; its scope costs, so a hot request goes without."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _route(self) -> Route | None:
        """The route of a target that is more than its path."""
        if b"?" in self.url or self.url[:1] != b"/":
            return ROUTES.get(httptools.parse_url(self.url).path)
        return None

    def _take(self, route: Route, headers: dict[bytes, bytes]) -> None:
        existing: Any = self.cycle
        exchange = Exchange(
            route,
            self.transport,
            self.on_response_complete,
            http_1_1=self.parser.get_http_version() == "1.1",
        )
        exchange.keep_alive = exchange.keep_alive and self.parser.should_keep_alive()
        exchange.headers = headers
        exchange.expects_continue = self.expect_100_continue
        exchange.request_id = self._edge.new_id()
        self.cycle = exchange  # type: ignore[assignment]
        if existing is None or existing.response_complete:
            exchange.is_next = True
        else:
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]
        if int(exchange.headers.get(b"content-length", 0)) > self._edge.body_bytes:
            self._refuse(exchange, BodyTooLarge(f"The body is larger than {self._edge.body_bytes} bytes."))
        elif exchange.expects_continue and exchange.is_next:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _bad_head(self, headers: dict[bytes, bytes]) -> RequestError | None:
        limit = self._edge.head_bytes
        if self._segment_size > limit and heads.size(self.url, self.headers) > limit:
            return heads.too_large()
        if b"host" in headers and len(headers) == len(self.headers):
            return None
        return heads.problem(self.parser.get_http_version(), self.headers)

    def _require_key(self, exchange: Exchange) -> None:
        try:
            self._edge.identify(exchange.headers)
        except RequestError as error:
            self._refuse(exchange, error)

    def _refuse(self, exchange: Exchange, error: RequestError) -> None:
        exchange.refusal = error
        exchange.received_all = True
        exchange.keep_alive = False
        self._run_if_next(exchange)

    def _run_if_next(self, exchange: Exchange) -> None:
        if not exchange.is_next:
            return
        if not exchange.received_all:
            if exchange.expects_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._running = exchange
        exchange.at = self._edge.clock()
        if self._edge.is_leaving():
            exchange.keep_alive = False
        if self.flow.write_paused:
            exchange.press(True)
        if exchange.refusal is not None:
            exchange.refuse(exchange.refusal)
            return
        arrived = Arrived(exchange.request_id, exchange.at, exchange.route, exchange.headers, exchange.body)
        exchange.run = Run(self._edge.flow(arrived, exchange), self.loop)

    def _run_following(self, exchange: Exchange) -> None:
        if not self.transport.is_closing():
            self._run_if_next(exchange)

    def _reject(self, error: RequestError) -> None:
        """The connection's bytes make no sense any more: end it, after the answers that are still due."""
        if self._lingers:
            return
        self._lingers = True
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange) and not cycle.received_all:
            self._refuse(cycle, error)
            return
        if cycle is not None and not cycle.response_complete and not getattr(cycle, "more_body", False):
            cycle.keep_alive = False
            return
        body = openai_error(error)
        self.transport.write(error_head(error, len(body), self._edge.new_id()) + b"connection: close\r\n\r\n" + body)
        self._close(lingers=True)

    def _close(self, *, lingers: bool) -> None:
        """Close; while the client still sends, not at once, or it would lose our answer to a reset."""
        self._lingers = True
        if lingers and not self.transport.is_closing():
            self.transport.write_eof()
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
