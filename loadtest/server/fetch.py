"""One GET of a server's page with a limit on its whole time; it knows no metrics.

Plain http.client: under locust its sockets are gevent's, elsewhere they block.
"""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

_PIECE_BYTES = 65536
_MOST_BYTES = 32 * 1024 * 1024


class Unreachable(Exception):
    """A page that could not be had; the text names it and says why."""


def get(url: str, seconds: float) -> bytes:
    """The body of a 200 answer. Raises `Unreachable`."""
    until = time.perf_counter() + seconds
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.netloc, timeout=seconds)
        try:
            connection.request("GET", parts.path or "/", headers={"connection": "close"})
            response = connection.getresponse()
            body = _read(response, until)
        finally:
            connection.close()
    except TimeoutError as error:
        raise Unreachable(f"{url} did not answer within {seconds:g} s") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreachable(f"{url} cannot be read: {error or type(error).__name__}") from error
    if response.status != 200:
        raise Unreachable(f"{url} answers {response.status}")
    return body


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    pieces, size = [], 0
    while piece := response.read1(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if time.perf_counter() > until:
            raise TimeoutError
        if size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
    return b"".join(pieces)
