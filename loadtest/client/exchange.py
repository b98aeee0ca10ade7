"""One request on one connection until its answer is whole, with the times of its tokens; it chooses no connection."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gevent

from loadtest.client import payload
from loadtest.client.answer import Answer, Ask
from loadtest.client.connection import Connection
from loadtest.client.faults import WireFault
from loadtest.client.payload import NO_USAGE
from loadtest.client.reply import Reply
from loadtest.client.sse import EventScan
from loadtest.slo import Fault

_READ_BYTES = 65536
_TRAILER_SECONDS = 1.0
"""How long to wait, after [DONE], for the end of the HTTP body that lets the connection be kept."""


class Exchange:
    """What has come so far of the answer to `ask`."""

    def __init__(self, ask: Ask, clock: Callable[[], float], sent: float) -> None:
        self._ask, self._clock, self._sent = ask, clock, sent
        self.reply = Reply(self._body)
        self._scan = EventScan(ask.keep_text)
        self._now = sent
        self._whole: list[bytes] = []
        self._streams: bool | None = None

    def until_first(self) -> AbstractContextManager[None]:
        """The time limit up to the first token."""
        ask = self._ask
        if ask.stream and ask.first_by is not None and (ask.end_by is None or ask.first_by < ask.end_by):
            return _until(ask.first_by, "first", self._clock)
        return _until(ask.end_by, "end", self._clock)

    def run(self, connection: Connection, request: bytes) -> None:
        """Send and read to the end. Raises `WireFault`."""
        try:
            self._converse(connection.sock, request)
        except (OSError, WireFault) as error:
            if not self._scan.done:  # behind it, HTTP may fail
                raise error if isinstance(error, WireFault) else WireFault("reset") from error
        self._scan.end(self._now)

    def _converse(self, sock: Any, request: bytes) -> None:
        scan = self._scan
        with self.until_first():
            sock.sendall(request)
            self._read(sock, lambda: scan.chunks or scan.done)
        with _until(self._ask.end_by, "end", self._clock):
            self._read(sock, lambda: scan.done)
        if not self.reply.complete:
            self._read_trailer(sock)

    def answer(self, failed: WireFault | None = None) -> Answer:
        """The outcome as a value; `failed` is what ended it early, if anything did."""
        fault, detail = (failed.fault, failed.detail) if failed else self._verdict()
        if failed:
            self._now = self._clock()
        if failed or self.reply.status != 200 or self._is_stream():
            return self._of_stream(fault, detail)
        return self._of_document(fault, detail)

    def document(self) -> bytes:
        """The body of an answer that is no stream."""
        return b"".join(self._whole)

    def _read(self, sock: Any, enough: Callable[[], object]) -> None:
        """Read until `enough`, or to the end of the answer."""
        recv, reply, clock = sock.recv, self.reply, self._clock
        while not (reply.complete or enough()):
            data = recv(_READ_BYTES)
            self._now = clock()
            if data:
                reply.feed(data)
            else:
                reply.end()

    def _read_trailer(self, sock: Any) -> None:
        """A stream ends at its [DONE]: what HTTP still has to say, for its connection to be kept, is not its time."""
        ended = self._now
        try:
            with gevent.Timeout(_TRAILER_SECONDS, WireFault("end")):
                self._read(sock, lambda: False)
        finally:
            self._now = ended

    def _body(self, part: bytes) -> None:
        if self._streams is None:
            self._streams = self._is_stream()
        if self._streams:
            self._scan.feed(part, self._now)
        else:
            self._whole.append(part)

    def _is_stream(self) -> bool:
        kind = self.reply.fields.get(b"content-type", b"").lower()
        told = kind.startswith(b"text/event-stream") or (self._ask.stream and not kind.startswith(b"application/json"))
        return self.reply.status == 200 and told

    def _verdict(self) -> tuple[Fault, str]:
        status, scan = self.reply.status, self._scan
        if status in (429, 503) and b"retry-after" in self.reply.fields:
            return Fault.SHED, f"http_{status}"
        if status != 200:
            return Fault.ERROR, f"http_{status}"
        if scan.fault:
            return Fault.ERROR, scan.fault
        if self._is_stream() and not scan.done:
            return Fault.ERROR, "broke_off"
        return Fault.NONE, ""

    def _of_stream(self, fault: Fault, detail: str) -> Answer:
        scan = self._scan
        return Answer(
            fault,
            self.reply.status,
            self._sent,
            scan.first,
            scan.last,
            self._now,
            scan.stall,
            scan.chunks,
            scan.first_tokens,
            scan.usage.prompt_tokens,
            scan.usage.output_tokens,
            scan.usage.cached_tokens,
            detail,
            self._retry_after(),
            scan.text() if self._ask.keep_text else "",
        )

    def _of_document(self, fault: Fault, detail: str) -> Answer:
        said = payload.read(self.document())
        if not isinstance(said, dict) or payload.is_error(said):
            fault, detail, said = Fault.ERROR, "bad_body" if not isinstance(said, dict) else "error_body", {}
        usage = payload.usage(said) or NO_USAGE
        now = math.nan if fault else self._now
        return Answer(
            fault,
            self.reply.status,
            self._sent,
            now,
            now,
            self._now,
            chunks=0 if fault else 1,
            first_tokens=max(1, usage.output_tokens),
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            detail=detail,
            text=payload.text(said, "message") if self._ask.keep_text else "",
        )

    def _retry_after(self) -> float:
        try:
            return float(self.reply.fields.get(b"retry-after", b"nan"))
        except ValueError:  # a date: only a wall clock could tell how far away it is
            return math.nan


@contextlib.contextmanager
def _until(due: float | None, detail: str, clock: Callable[[], float]) -> Iterator[None]:
    """Raise `WireFault` with `TIMEOUT` in a wait that lasts beyond `due` on this clock."""
    if due is None:
        yield
        return
    with gevent.Timeout(max(0.0, due - clock()), WireFault(detail, Fault.TIMEOUT)):
        yield
