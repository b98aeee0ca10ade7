"""Refuses new work while the cell drains; it does not know who drains it or how long.

A file is the sign, because all replicas of a cell see it at once and before Serve has told them anything.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_BODY = (
    b'{"error":{"message":"This engine is shutting down.","type":"overloaded_error","param":null,"code":"draining"}}'
)
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", b"1"),
    (b"connection", b"close"),
]


class RefuseWhileDraining:
    """ASGI middleware: while the file exists every POST gets a 503, and so does who asks for models to send it some.

    Metrics go on: they show the streams that are being waited for.
    """

    def __init__(self, app: App, draining_file: str) -> None:
        self._app = app
        self._draining_file = draining_file

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if not (_asks_for_work(scope) and self._draining()):
            return await self._app(scope, receive, send)
        await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})

    def _draining(self) -> bool:
        """One stat of a local file: 2 µs."""
        return os.path.exists(self._draining_file)


def _asks_for_work(scope: Message) -> bool:
    return scope.get("method") == "POST" or scope.get("path") == "/v1/models"
