"""Which SLO class a request has, and whether its answer kept what the class promises; it counts nothing."""

from __future__ import annotations

import math
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


class Limits(NamedTuple):
    """A class's promises, seconds; infinite where it makes none."""

    ttft: float
    tpot: float


class Slo:
    """The classes by name, and the one of a request that names none."""

    def __init__(self, classes: Mapping[str, SloSettings], default: str) -> None:
        self._classes = {
            name: Limits(settings.ttft_seconds or math.inf, settings.tpot_seconds or math.inf)
            for name, settings in classes.items()
        }
        self._default = default

    def class_of(self, headers: Mapping[bytes, bytes], caller: Caller) -> str:
        """The header's, else the key's, else the default. Raises `InvalidRequest` for a name that is no class."""
        asked = headers.get(_HEADER)
        if asked is None:
            return caller.slo_class or self._default
        name = asked.decode("latin-1")
        if name not in self._classes:
            raise InvalidRequest(
                f"There is no SLO class `{name[:_SHOWN]}`. Known: {', '.join(self._classes)}.",
                param="X-Tidegate-SLO-Class",
                code="invalid_value",
            )
        return name

    def is_good(self, name: str, ended: Ended) -> bool | None:
        """None for what says nothing of the server: a client's own error, a client that left in good time."""
        limits, outcome = self._classes[name], ended.outcome
        if ended.error is not None:
            return _failure_is_good(limits, ended, ended.error)
        if outcome is None:
            return None
        return _stream_is_good(limits, ended.at, outcome) if ended.stream else _whole_is_good(limits, ended, outcome)


def _failure_is_good(limits: Limits, ended: Ended, error: RequestError) -> bool | None:
    """A client that left is judged by what it got; without a first event, by how long it waited for one."""
    if not isinstance(error, ClientLeft):
        return False if error.status >= _SERVER_ERROR else None
    if ended.stream and ended.outcome is not None and ended.outcome.events:
        return _stream_is_good(limits, ended.at, ended.outcome)
    return False if ended.ended_at - ended.at > limits.ttft else None


def _stream_is_good(limits: Limits, at: float, outcome: Outcome) -> bool:
    if outcome.first_at - at > limits.ttft:
        return False
    tokens = outcome.output_tokens
    return tokens <= 1 or outcome.last_at - outcome.first_at <= limits.tpot * (tokens - 1)


def _whole_is_good(limits: Limits, ended: Ended, outcome: Outcome) -> bool:
    """Its first token is not seen: all of it has the time of the first and of each one after it."""
    tokens = outcome.output_tokens
    return ended.ended_at - ended.at <= limits.ttft + (limits.tpot * tokens if tokens else 0.0)
