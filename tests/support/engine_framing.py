"""HTTP/1.1 as the scripted engine writes and reads it; it knows no connection."""

from __future__ import annotations

import json
from typing import Any

from tests.support.script import Script


def document(status: int, content: bytes, script: Script) -> bytes:
    extra = [f"{name}: {value}".encode() for name, value in script.headers.items()]
    closing = [b"connection: close"] if script.close == "announced" else []
    framing = [] if script.framing == "close" else [b"content-length: %d" % len(content)]
    kind = [] if "Content-Type" in script.headers else [b"content-type: application/json"]
    return head(status, [*kind, *framing, *extra, *closing]) + content


def head(status: int, fields: list[bytes]) -> bytes:
    common = [b"HTTP/1.1 %d X" % status, b"date: Tue, 24 Nov 2026 15:00:00 GMT", b"server: uvicorn"]
    return b"\r\n".join([*common, *fields]) + b"\r\n\r\n"


def take_body(headers: dict[str, str], rest: bytes) -> tuple[bytes, bytes] | None:
    """The body and what follows it, or None while bytes are missing."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _take_chunks(rest)
    length = int(headers.get("content-length", 0))
    return (rest[:length], rest[length:]) if len(rest) >= length else None


def _take_chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, separator, after = rest.partition(b"\r\n")
        if not separator:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(after) < size + 2:
            return None
        body, rest = body + after[:size], after[size + 2 :]
        if size == 0:
            return body, rest


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
