"""Step 9, ledger: what happened becomes metrics and one log line; it never raises and never holds prompt text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

from serving.errors import ClientLeft, NoEngine, RequestError
from serving.front.auth import Caller
from serving.front.demand import Demand, Offer
from serving.front.relay import Outcome
from serving.front.route import Endpoint
from serving.front.slo import Ended, Slo
from serving.front.wire import Arrived, GenerationRequest
from serving.metrics import FrontMetrics

_ID_LENGTH = 128
_STEPS = ("auth", "request", "budget", "session", "route", "attempt", "relay")


class Entry:
    """One request's page in the ledger: written by the flow as it goes, read by nobody but the ledger."""

    caller: Caller | None = None
    request: GenerationRequest | None = None
    slo_class: str | None = None
    offer: Offer | None = None
    endpoint: Endpoint | None = None
    attempts = 0
    broken = 0
    # How long it waited because no engine was ready.
    held_seconds = 0.0
    outcome: Callable[[], Outcome] | None = None
    error: RequestError | None = None
    # How long the end of the answer waited for the durable store.
    commit_seconds: float | None = None
    history_source = "none"
    # When each step ended, monotonic seconds.
    auth_at = 0.0
    request_at = 0.0
    budget_at = 0.0
    session_at = 0.0
    route_at = 0.0
    attempt_at = 0.0
    relay_at = 0.0

    def __init__(self, arrived: Arrived) -> None:
        self.arrived = arrived
        self.attempt_outcomes: list[tuple[str, str]] = []

    def sent(self, endpoint: Endpoint) -> None:
        self.attempts += 1
        self.endpoint = endpoint

    def came_back(self, outcome: str) -> None:
        if self.endpoint is not None:
            self.attempt_outcomes.append((self.endpoint.id, outcome))
        self.broken += outcome == "lost"

    @property
    def phase(self) -> str:
        """Where the request was when it ended."""
        if self.outcome is not None:
            return "relay"
        return "attempt" if self.route_at else "before_attempt"


class Lines(Protocol):
    """Takes one log line without its newline; must not block."""

    def __call__(self, line: bytes) -> None: ...


class Counting(NamedTuple):
    """Who has to hear of each request that ended."""

    metrics: FrontMetrics
    demand: Demand
    slo: Slo


class Ledger:
    """Closes entries."""

    def __init__(
        self, counts: Counting, lines: Lines | None, clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._metrics, self._demand, self._slo = counts
        self._lines = lines
        self._clock = clock
        self._now = now

    def close(self, entry: Entry) -> None:
        """Count the request and write its line."""
        ended_at = self._clock()
        outcome = entry.outcome() if entry.outcome is not None else None
        error = entry.error or (outcome.error if outcome else None)
        model = _bounded_model(entry)
        self._count(entry, outcome, error, model, ended_at)
        self._judge(entry, outcome, error, ended_at)
        if self._lines is not None:
            self._lines(orjson.dumps(self._line(entry, outcome, error, ended_at)))

    def _count(
        self, entry: Entry, outcome: Outcome | None, error: RequestError | None, model: str, ended_at: float
    ) -> None:
        metrics, arrived = self._metrics, entry.arrived
        route = arrived.route.path
        status, result = (str(error.status), error.code or error.type) if error else ("200", "ok")
        metrics.requests.values[route, model, status, result] += 1
        metrics.duration.observe(ended_at - arrived.at, (route, model))
        if entry.history_source != "none":
            metrics.histories.values[(entry.history_source,)] += 1
        if entry.commit_seconds is not None:
            metrics.commit.observe(entry.commit_seconds, ())
        for attempt in entry.attempt_outcomes:
            metrics.attempts.values[attempt] += 1
        if outcome is not None and outcome.error is not None and entry.endpoint is not None:
            metrics.attempts.values[entry.endpoint.id, "broken"] += 1
        if isinstance(error, ClientLeft):
            metrics.cancellations.values[(entry.phase,)] += 1
        if outcome is None or entry.request is None:
            return
        if entry.request.stream and outcome.events:
            metrics.ttft.observe(outcome.first_at - arrived.at, (model,))
            if (tokens := outcome.output_tokens) > 1:
                metrics.tpot.observe((outcome.last_at - outcome.first_at) / (tokens - 1), (model,))
        tokens_of = metrics.tokens.values
        tokens_of[model, "output"] += outcome.output_tokens
        if (usage := outcome.usage) is not None:
            tokens_of[model, "prompt"] += usage.prompt_tokens
            tokens_of[model, "cached"] += usage.cached_tokens

    def _judge(self, entry: Entry, outcome: Outcome | None, error: RequestError | None, ended_at: float) -> None:
        """What it says of the demand, of its SLO class, of the lack of engines."""
        request, metrics, name = entry.request, self._metrics, entry.slo_class
        if entry.offer is not None:
            self._demand.settle(entry.offer, outcome.usage if outcome else None, error)
        if request is None or name is None or not self._demand.knows(request.model):
            return
        if isinstance(error, NoEngine):
            metrics.rejected.values[request.model, error.reason] += 1
        good = self._slo.is_good(name, Ended(request.stream, entry.arrived.at, ended_at, outcome, error))
        if good is not None:
            metrics.slo_total.values[request.model, name] += 1
            metrics.slo_good.values[request.model, name] += good

    def _line(
        self, entry: Entry, outcome: Outcome | None, error: RequestError | None, ended_at: float
    ) -> dict[str, Any]:
        arrived, caller, request = entry.arrived, entry.caller, entry.request
        usage = outcome.usage if outcome else None
        streamed = request is not None and request.stream and outcome is not None and outcome.events > 0
        return {
            "time": self._now(),
            "request_id": arrived.id,
            "client_request_id": _text(arrived.headers.get(b"x-request-id")),
            "route": arrived.route.path,
            "team": caller.team if caller else None,
            "key": caller.key_shown if caller else None,
            "model": request.model[:_ID_LENGTH] if request else None,
            "slo_class": entry.slo_class,
            "stream": request.stream if request else None,
            "engine": entry.endpoint.id if entry.endpoint else None,
            "attempts": entry.attempts,
            "status": error.status if error else 200,
            "error_type": error.code or error.type if error else None,
            "finish": outcome.finish if outcome else None,
            "ttft_seconds": _rounded(outcome.first_at - arrived.at) if streamed and outcome else None,
            "duration_seconds": _rounded(ended_at - arrived.at),
            "held_seconds": _rounded(entry.held_seconds),
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "output_tokens": outcome.output_tokens if outcome else None,
            "session": request.keep.session if request and request.keep else None,
            "history": entry.history_source,
            "commit_seconds": _rounded(entry.commit_seconds) if entry.commit_seconds is not None else None,
            "steps_seconds": _durations(entry),
        }


def _bounded_model(entry: Entry) -> str:
    """A label: what an engine says it serves, never just what a client wrote."""
    if entry.request is None or entry.endpoint is None:
        return ""
    return entry.request.model if entry.request.model in entry.endpoint.models else "unlisted"


def _durations(entry: Entry) -> dict[str, float]:
    durations, before = {}, entry.arrived.at
    for step in _STEPS:
        at = getattr(entry, f"{step}_at")
        if at:
            durations[step] = _rounded(at - before)
            before = at
    return durations


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _text(value: bytes | None) -> str | None:
    return value[:_ID_LENGTH].decode("latin-1") if value else None
