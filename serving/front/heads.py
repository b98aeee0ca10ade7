"""Whether a request's head may pass, and what it is without an Upgrade; it knows bytes, no connection."""

from __future__ import annotations

from serving.errors import HeadTooLarge, InvalidRequest, RequestError

Headers = list[tuple[bytes, bytes]]


def size(url: bytes, headers: Headers) -> int:
    """Bytes of names, values and target, without separators."""
    return len(url) + sum(len(name) + len(value) for name, value in headers)


def problem(version: str, headers: Headers) -> RequestError | None:
    """HTTP/1.1 asks for exactly one Host (RFC 9112, 3.2): two servers might else see two different requests."""
    hosts = [name for name, _ in headers].count(b"host")
    if hosts == 1 or (hosts == 0 and version == "1.0"):
        return None
    return InvalidRequest("A request needs exactly one Host header.", code="bad_http")


def too_large() -> RequestError:
    return HeadTooLarge("The request's headers are too large.")


def without_upgrade(method: bytes, url: bytes, headers: Headers) -> bytes:
    """The head again, asking for no other protocol."""
    kept = [b"%b: %b\r\n" % pair for pair in headers if pair[0] not in (b"upgrade", b"http2-settings")]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, b"".join(kept))
