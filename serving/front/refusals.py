"""What engines' failures and refusals come to for the client; it knows no attempt and no connection."""

from __future__ import annotations

from typing import Any

import orjson

from serving.errors import (
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    Lost,
    NoEngine,
    Rejection,
    Silent,
    UpstreamError,
)
from serving.front.wire import GenerationRequest

# Statuses of an engine that has too much to do.
BUSY = frozenset({429, 503})
_RETRY_AFTER_SECONDS = 2


def is_overload(body: bytes) -> bool:
    """A 503 of an engine that has too much to do says so in an error object; any other means that it is no engine now.

    That is a cell that drains, Ray Serve's plain text, or a proxy that has nobody behind it.
    """
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    error = content.get("error") if isinstance(content, dict) else None
    return isinstance(error, dict) and error.get("code") != "draining"


def final(
    failure: UpstreamError | int | None, *, may_repeat: bool, untried: int, is_busy: bool
) -> EngineFailed | EngineTimeout | NoEngine:
    """What a request ends with once no attempt is left: the last failure, engines left untried, a busy one."""
    if isinstance(failure, Silent):
        return EngineTimeout("The engine did not answer in time.")
    if isinstance(failure, Lost) or (isinstance(failure, int) and failure not in BUSY):
        error = EngineFailed("The engine failed before it answered.")
        error.should_retry = None if may_repeat else False
        error.is_lost = isinstance(failure, Lost) and may_repeat and not untried
        return error
    return NoEngine(
        "No engine can take the request now. Try again shortly.",
        retry_after_seconds=_RETRY_AFTER_SECONDS,
        reason=Rejection.ENGINE_BUSY if is_busy else Rejection.NO_ENGINE,
    )


def passed_on(status: int, body: bytes, request: GenerationRequest) -> EngineRefused:
    """The engine's own words on a bad request, in OpenAI's shape; these speak of the client's input only."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    error = content.get("error") if isinstance(content, dict) else None
    if status == 404 and not isinstance(error, dict):
        return EngineRefused(
            f"The model `{request.model}` does not serve {request.route.path}.",
            status=404,
            param="model",
            code="unsupported_route",
        )
    fields = error if isinstance(error, dict) else {}
    message, param, code = (_text(fields.get(name)) for name in ("message", "param", "code"))
    return EngineRefused(message or "The engine refused the request.", status=status, param=param, code=code)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
