"""Which SLO class a request has, and whether its answer kept what the class promises; it counts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from serving.errors import ClientLeft, InvalidRequest, RequestError
from serving.front.auth import Caller
from serving.front.relay import Outcome
from serving.settings import SloSettings

_HEADER = b"x-tidegate-slo-class"
_SHOWN = 40
_SERVER_ERROR = 500


class Ended(NamedTuple):
    """One request that is over; times are monotonic seconds, `at` is its arrival at the front."""

    stream: bool
    at: float
    ended_at: float
    outcome: Outcome | None
    error: RequestError | None


class Slo:
    """The classes by name, and the one of a request that names none."""

    def __init__(self, classes: Mapping[str, SloSettings], default: str) -> None:
        self.classes = classes
        self._default = default

    def class_of(self, headers: Mapping[bytes, bytes], caller: Caller) -> str:
        """The header's, else the key's, else the default. Raises `InvalidRequest` for a name that is no class."""
        asked = headers.get(_HEADER)
        if asked is None:
            return caller.slo_class or self._default
        name = asked.decode("latin-1")
        if name not in self.classes:
            raise InvalidRequest(
                f"There is no SLO class `{name[:_SHOWN]}`. Known: {', '.join(self.classes)}.",
                param="X-Tidegate-SLO-Class",
                code="invalid_value",
            )
        return name

    def is_good(self, name: str, ended: Ended) -> bool | None:
        """None for what says nothing of the server: a client's own error, a client that left in good time."""
        limits, error, outcome = self.classes[name], ended.error, ended.outcome
        if isinstance(error, ClientLeft):
            return _left(limits, ended)
        if error is not None:
            return False if error.status >= _SERVER_ERROR else None
        if outcome is None:
            return None
        return _stream_is_good(limits, ended.at, outcome) if ended.stream else _whole_is_good(limits, ended, outcome)


def _left(limits: SloSettings, ended: Ended) -> bool | None:
    """Judged by what it got; without a first event, by how long it waited for one."""
    if ended.stream and ended.outcome is not None and ended.outcome.events:
        return _stream_is_good(limits, ended.at, ended.outcome)
    is_late = limits.ttft_seconds is not None and ended.ended_at - ended.at > limits.ttft_seconds
    return False if is_late else None


def _stream_is_good(limits: SloSettings, at: float, outcome: Outcome) -> bool:
    if limits.ttft_seconds is not None and outcome.first_at - at > limits.ttft_seconds:
        return False
    tokens = outcome.output_tokens
    return (
        limits.tpot_seconds is None
        or tokens <= 1
        or outcome.last_at - outcome.first_at <= limits.tpot_seconds * (tokens - 1)
    )


def _whole_is_good(limits: SloSettings, ended: Ended, outcome: Outcome) -> bool:
    """Its first token is not seen: all of it has the time of the first and of each one after it."""
    if limits.ttft_seconds is None or (limits.tpot_seconds is None and outcome.output_tokens):
        return True
    per_token = limits.tpot_seconds or 0.0
    return ended.ended_at - ended.at <= limits.ttft_seconds + per_token * outcome.output_tokens
