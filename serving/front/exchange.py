"""One generation request on one client connection: writes the response, keeps it alive, ends it; it decides nothing.

It is the `Client` that the flow sees and the cycle that uvicorn's protocol sees.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable

from serving.errors import RequestError
from serving.front.dialect import Route
from serving.front.eager import Run
from serving.front.upstream import Reply

_STATUS = {status: b"HTTP/1.1 %d %b\r\n" % (status, http.HTTPStatus(status).phrase.encode()) for status in (200, 503)}
_SSE = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"
    b"x-request-id: %b\r\n"
)
_JSON = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
_JSON_OK = b"HTTP/1.1 200 OK\r\n" + _JSON + b"%b%b"


def status_line(status: int) -> bytes:
    line = _STATUS.get(status)
    if line is None:
        line = _STATUS[status] = b"HTTP/1.1 %d %b\r\n" % (status, http.HTTPStatus(status).phrase.encode())
    return line


def error_head(error: RequestError, length: int, request_id: str) -> bytes:
    """The head without its end; it tells an SDK whether and when to retry."""
    lines = status_line(error.status) + _JSON % (length, request_id.encode()) + error.headers
    if error.retry_after_seconds is not None:
        lines += b"retry-after: %d\r\n" % error.retry_after_seconds
    if error.should_retry is not None:
        lines += b"x-should-retry: %b\r\n" % (b"true" if error.should_retry else b"false")
    return lines


class Exchange:
    """States: receiving, waiting (nothing sent), streaming (head sent), complete."""

    # Receiving.
    request_id = ""
    at = 0.0
    received_all = False
    expects_continue = False
    is_next = False
    refusal: RequestError | None = None
    # Answering.
    run: Run | None = None
    extra_headers = b""
    stopped_by: RequestError | None = None
    # The flow goes on without its client: somebody will ask for what it gives.
    outlives_client = False
    # What uvicorn's protocol reads of a cycle.
    response_complete = False
    disconnected = False

    _streaming = False
    _heartbeats = False
    _writes = 0
    _writes_seen = 0
    _silent_since = 0.0
    _reply: Reply | None = None
    _paused = False

    def __init__(
        self, route: Route, transport: asyncio.Transport, on_complete: Callable[[], None], *, http_1_1: bool
    ) -> None:
        self.route = route
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.keep_alive = http_1_1
        self._transport = transport
        self._on_complete = on_complete
        self._chunked = http_1_1

    @property
    def is_alone(self) -> bool:
        return self.disconnected or self.response_complete

    def begin(self, headers: bytes, *, stream: bool) -> None:
        """The response will carry these header lines.

        From now on a stream's silence is filled with heartbeats, the first of which commits the status 200.
        """
        self.extra_headers = headers
        self._heartbeats = stream
        self._silent_since = self.at

    def heartbeat(self, now: float, after: float) -> None:
        """Write one when nothing was written for `after` seconds; called every now and then."""
        if self._writes != self._writes_seen:
            self._writes_seen = self._writes
            self._silent_since = now
        elif self._heartbeats and not self._paused and now - self._silent_since >= after:
            self.write(self.route.dialect.heartbeat)

    def bind(self, reply: Reply) -> None:
        if not self.response_complete:
            self._reply = reply
            if self._paused:
                reply.pause()

    def press(self, paused: bool) -> None:
        """The client's socket is full, or takes bytes again."""
        self._paused = paused
        if self._reply is not None:
            (self._reply.pause if paused else self._reply.resume)()

    def answer(self, body: bytes) -> None:
        self._send(_JSON_OK % (len(body), self.request_id.encode(), self._tail(), body))
        self._complete()

    def refuse(self, error: RequestError) -> None:
        """The error as a response, or as an event when the head is out."""
        if self.response_complete:
            return
        if self.disconnected:
            self._complete()
        elif self._streaming:
            self.fail(error)
        else:
            body = self.route.dialect.error_body(error)
            self._send(error_head(error, len(body), self.request_id) + self._tail() + body)
            self._complete()

    def write(self, data: bytes) -> None:
        frame = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        self._writes += 1
        if not self._streaming:
            self._streaming = True
            frame = self._stream_head() + frame
        if not self.disconnected:
            self._transport.write(frame)

    def finish(self, data: bytes) -> None:
        frame = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if self._chunked else data
        self._send(frame if self._streaming else self._stream_head() + frame)
        self._complete()

    def fail(self, error: RequestError) -> None:
        if not self.response_complete:
            self.keep_alive = False
            self.write(self.route.dialect.error_event(error))
            self._complete()

    def stop(self, error: RequestError) -> None:
        """End the flow from outside: the client left, time is up, or the server stops. Frees the engine."""
        if self.disconnected and error.status == 499:
            return
        self.disconnected = self.disconnected or error.status == 499
        if self.outlives_client and error.status == 499:
            self.press(False)
            return
        self.stopped_by = error
        if self.run is not None:
            self.run.cancel()

    def _stream_head(self) -> bytes:
        if self._chunked:
            return status_line(200) + _SSE % self.request_id.encode() + b"transfer-encoding: chunked\r\n" + self._tail()
        return status_line(200) + _SSE % self.request_id.encode() + self._tail()

    def _tail(self) -> bytes:
        return self.extra_headers + (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")

    def _send(self, data: bytes) -> None:
        if not self.disconnected:
            self._transport.write(data)

    def _complete(self) -> None:
        self.response_complete = True
        self._heartbeats = False
        self._reply = None
        self._on_complete()
