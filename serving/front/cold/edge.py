"""How a cold route reads its request and answers it: who asks, a JSON body, an x-request-id; it knows no store."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from serving.errors import BodyTooLarge, ClientLeft, InvalidRequest
from serving.front import wire
from serving.front.auth import Auth
from serving.front.state.records import Key
from serving.settings import LimitSettings

_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class ColdEdge:
    """The edge of every cold route of one app."""

    auth: Auth
    new_id: Callable[[], str]
    limits: LimitSettings

    def key(self, request: Request, given: str) -> Key | None:
        """What this id names among the caller's own; None when it can name nothing. Raises `Unauthenticated`."""
        tenant = self.tenant(request)
        return Key(tenant, given) if is_id(given) else None

    def tenant(self, request: Request) -> str:
        """The caller's team. Raises `Unauthenticated`."""
        return self.auth.identify(raw_headers(request)).team

    async def body(self, request: Request) -> dict[str, Any]:
        """The JSON object that was sent. Raises `InvalidRequest`, `BodyTooLarge`, `ClientLeft`."""
        raw = bytearray()
        try:
            async for part in request.stream():
                raw += part
                if len(raw) > self.limits.body_bytes:
                    raise BodyTooLarge(f"The body is larger than {self.limits.body_bytes} bytes.")
        except ClientDisconnect:
            raise ClientLeft("The client closed the connection.") from None
        return wire.parse(raw, self.limits)

    def answer(self, content: Any) -> Response:
        return Response(orjson.dumps(content), headers={"x-request-id": self.new_id()}, media_type="application/json")


def raw_headers(request: Request) -> dict[bytes, bytes]:
    return dict(request.scope["headers"])


def is_id(given: str) -> bool:
    """Of the shape that every id here has, whoever chose it."""
    return _ID.fullmatch(given) is not None


def shown(given: str) -> str:
    """An id as an error may repeat it."""
    return given if is_id(given) else f"{ascii(given[:32])[1:-1]}…"


def only(body: dict[str, Any], *names: str) -> None:
    """Raises `InvalidRequest` for a field that is none of these."""
    for name in body:
        if name not in names:
            raise InvalidRequest(
                f"Unrecognized request argument supplied: {name}.", param=name, code="unknown_parameter"
            )
