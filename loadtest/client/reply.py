"""One HTTP answer as its bytes come: status, fields, body; it knows no socket and no completion."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from loadtest.client.faults import WireFault


class Reply:
    """Feed it what was read; `body` gets each part of a body. Interim answers (1xx) are passed over."""

    def __init__(self, body: Callable[[bytes], None]) -> None:
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        """By lower-case name."""
        self.complete = False
        self.begun = False
        """Whether any byte has come."""
        self.keeps_connection = False
        """Whether the connection can carry another request."""
        self.on_body = body
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises `WireFault` for what is not HTTP."""
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise WireFault("bad_http") from error

    def end(self) -> None:
        """The connection is over: so is a body that has no other end."""
        framed = b"content-length" in self.fields or b"transfer-encoding" in self.fields
        if not self.complete and (framed or not self.status):
            raise WireFault("broke_off" if self.begun else "closed")
        self.complete = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        self.fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            self.fields.clear()
        else:
            self.status = status

    def on_message_complete(self) -> None:
        """The answer is whole, if it is not an interim one."""
        self.complete = self.status != 0
        self.keeps_connection = self.complete and bool(self._parser.should_keep_alive())  # known only here
