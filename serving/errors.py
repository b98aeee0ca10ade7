"""The one error tree of the serving package; it knows HTTP statuses, not how a response is written.

TidegateError
├── SettingsError                 a setting is wrong: names the key and the fix, stops the start
├── EngineStartError              a cell did not become ready
├── StoreError                    a store did not do what it was asked to; never seen by a client
│   ├── StoreDown                 it cannot be reached, or not in time
│   ├── VersionConflict           somebody else wrote first
│   └── SessionGone               the session to append to is not there
├── UpstreamError                 one attempt at one engine failed; never seen by a client
│   ├── Unreachable               no connection: nothing was sent
│   ├── Lost                      the connection broke, or what came back is not HTTP
│   └── Silent                    nothing came back in time
└── RequestError                  ends one request; carries everything the client may see
    ├── InvalidRequest      400   invalid_request_error, names `param`
    ├── Conflict            409   another turn or write was faster
    ├── Cancelled           409   somebody cancelled the generation
    ├── Expired             410   what is asked for is no longer kept
    ├── BodyTooLarge        413
    ├── HeadTooLarge        431
    ├── Unauthenticated     401
    ├── Forbidden           403
    ├── NotFound            404   unknown route, model or id
    ├── MethodNotAllowed    405
    ├── RateLimited         429   with Retry-After
    ├── EngineRefused       4xx   the engine's own verdict on the request, passed on
    ├── EngineFailed        502   no engine gave a usable answer
    ├── NoEngine            503   with Retry-After
    ├── StateUnavailable    503   the durable store is away; with Retry-After
    ├── EngineTimeout       504
    ├── InternalError       500   a bug of ours; says nothing
    ├── ShuttingDown        503   this front stops before the request could end
    └── ClientLeft          499   the client closed its connection; written to the log only
"""

from __future__ import annotations

from enum import StrEnum


class Rejection(StrEnum):
    """Why no engine took a request."""

    NO_ENGINE = "no_engine"
    ENGINE_BUSY = "engine_busy"
    HOLD_FULL = "hold_full"
    HOLD_TIMEOUT = "hold_timeout"


class TidegateError(Exception):
    """Base of everything raised on purpose."""


class SettingsError(TidegateError):
    """A setting is wrong. `key` is its dotted name, e.g. `front.port`."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class EngineStartError(TidegateError):
    """A cell did not become ready; the message says what to do."""


class StoreError(TidegateError):
    """A store did not do what it was asked to."""


class StoreDown(StoreError):
    pass


class VersionConflict(StoreError):
    pass


class SessionGone(StoreError):
    pass


class UpstreamError(TidegateError):
    """One attempt at one engine failed."""


class Unreachable(UpstreamError):
    pass


class Lost(UpstreamError):
    pass


class Silent(UpstreamError):
    pass


class RequestError(TidegateError):
    """Ends one request. `message` is written for the client; internals never enter it."""

    status = 500
    type = "server_error"
    code: str | None = None
    retry_after_seconds: int | None = None
    should_retry: bool | None = None
    headers: bytes = b""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class InvalidRequest(RequestError):
    status = 400
    type = "invalid_request_error"


class Conflict(RequestError):
    status = 409
    type = "conflict_error"
    code = "conversation_conflict"


class Cancelled(RequestError):
    status = 409
    type = "conflict_error"
    code = "response_cancelled"
    should_retry = False


class Expired(InvalidRequest):
    status = 410
    code = "expired"


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "request_too_large"


class HeadTooLarge(InvalidRequest):
    status = 431
    code = "head_too_large"


class Unauthenticated(RequestError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(RequestError):
    status = 403
    type = "permission_error"


class NotFound(InvalidRequest):
    status = 404


class MethodNotAllowed(InvalidRequest):
    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class RateLimited(RequestError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EngineRefused(InvalidRequest):
    def __init__(self, message: str, *, status: int, param: str | None, code: str | None) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status

    @property
    def is_too_long(self) -> bool:
        """The prompt does not fit into the model's context: OpenAI's code for it, or vLLM's words."""
        return self.code == "context_length_exceeded" or "maximum context length" in self.message


class EngineFailed(RequestError):
    status = 502
    type = "api_error"
    code = "engine_failed"
    # The connection broke, no other engine is left to try, and the request may be tried once more.
    is_lost = False


class NoEngine(RequestError):
    status = 503
    type = "overloaded_error"
    code = "no_engine_available"

    def __init__(self, message: str, *, retry_after_seconds: int, reason: Rejection = Rejection.NO_ENGINE) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reason = reason


class StateUnavailable(RequestError):
    status = 503
    type = "overloaded_error"
    code = "state_unavailable"
    retry_after_seconds = 2


class EngineTimeout(RequestError):
    status = 504
    type = "api_error"
    code = "engine_timeout"


class InternalError(RequestError):
    pass


class ShuttingDown(RequestError):
    status = 503
    type = "overloaded_error"
    code = "shutting_down"
    retry_after_seconds = 1


class ClientLeft(RequestError):
    status = 499
    code = "client_left"
