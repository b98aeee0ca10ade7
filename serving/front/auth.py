"""Step 1, auth: a presented key becomes a `Caller`; it knows keys by their hash only, and no store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from serving.errors import Forbidden, Unauthenticated
from serving.front import keys
from serving.front.state.history import Strategy


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and what they may.

    `models` empty means every model. Limits are per minute, None meaning none. `cache_salt` separates the engine's
    prefix cache between teams. `history` is the strategy of its sessions, `slo_class` the class of its requests, None
    the server's.
    """

    key_id: str
    key_shown: str
    team: str
    cache_salt: str
    models: frozenset[str] = field(default_factory=frozenset)
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires_at: float | None = None
    history: Strategy | None = None
    slo_class: str | None = None

    def may_use(self, model: str) -> bool:
        return not self.models or model in self.models


class Keys(Protocol):
    """What auth needs: the caller of a key's SHA-256 (raw digest), or None."""

    def find(self, digest: bytes) -> Caller | None: ...


class Clock(Protocol):
    """Seconds since the epoch."""

    def __call__(self) -> float: ...


class Auth:
    """Looks a presented key up; a mistyped key of our format is refused before any lookup."""

    def __init__(self, known: Keys, clock: Clock) -> None:
        self._known = known
        self._clock = clock

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Raises `Unauthenticated`. Takes `Authorization: Bearer KEY` or `x-api-key: KEY`."""
        key = _presented(headers)
        caller = self._known.find(hashlib.sha256(key).digest())
        if caller is None:
            typo = keys.is_mistyped(key.decode("latin-1"))
            raise Unauthenticated("Incorrect API key: it is mistyped." if typo else "Incorrect API key provided.")
        if caller.expires_at is not None and self._clock() >= caller.expires_at:
            day = datetime.fromtimestamp(caller.expires_at).date().isoformat()
            raise Unauthenticated(f"This API key expired on {day}.", code="expired_api_key")
        return caller


def authorise(caller: Caller, model: str) -> None:
    """Raises `Forbidden` when the caller's key is not for this model."""
    if caller.models and model not in caller.models:
        raise Forbidden(f"This API key may not use the model `{model}`.", param="model", code="model_not_allowed")


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() == b"bearer" and key:
            return key.strip()
        raise Unauthenticated("The Authorization header must be `Bearer YOUR_KEY`.")
    key = headers.get(b"x-api-key", b"")
    if not key:
        raise Unauthenticated("No API key provided: send it as `Authorization: Bearer YOUR_KEY`.")
    return key
