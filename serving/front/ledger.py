"""Step 9, ledger: what happened becomes metrics and one log line; it never raises and never holds prompt text."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from serving.errors import ClientLeft, NoEngine, RateLimited, RequestError
from serving.front import log_line
from serving.front.demand import Demand
from serving.front.entry import Entry
from serving.front.relay import Outcome
from serving.front.slo import Ended, Slo
from serving.metrics import FrontMetrics, Spent


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
        if entry.caller is not None:
            _charge(self._metrics.teams[entry.caller.team], outcome, error)
        if self._lines is not None:
            self._lines(orjson.dumps(log_line.of(entry, outcome, error, ended_at, self._now())))

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


def _charge(spent: Spent, outcome: Outcome | None, error: RequestError | None) -> None:
    """To the team of the request's key; `refused` is by the key's own limits alone."""
    if error is None:
        spent.ok += 1
    elif isinstance(error, RateLimited):
        spent.refused += 1
    else:
        spent.error += 1
    if outcome is None:
        return
    spent.output += outcome.output_tokens
    if (usage := outcome.usage) is not None:
        spent.prompt += usage.prompt_tokens
        spent.cached += usage.cached_tokens


def _bounded_model(entry: Entry) -> str:
    """A label: what an engine says it serves, never just what a client wrote."""
    if entry.request is None or entry.endpoint is None:
        return ""
    return entry.request.model if entry.request.model in entry.endpoint.models else "unlisted"
