"""Step 9, ledger: what happened becomes metrics and one log line; it never raises and never holds prompt text."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from serving.errors import ClientLeft, NoEngine, RateLimited
from serving.front import log_line
from serving.front.demand import Demand
from serving.front.entry import Entry
from serving.front.slo import Ended, Slo
from serving.metrics import FrontMetrics


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
        request, outcome = entry.request, entry.outcome() if entry.outcome is not None else None
        error = entry.error or (outcome.error if outcome else None)
        ended = Ended(request is not None and request.stream, entry.arrived.at, self._clock(), outcome, error)
        model = _bounded_model(entry)
        self._count(entry, ended, model)
        if entry.caller is not None:
            self._charge(entry.caller.team, model, ended)
        self._judge(entry, ended)
        if self._lines is not None:
            self._lines(orjson.dumps(log_line.of(entry, ended, self._now())))

    def _count(self, entry: Entry, ended: Ended, model: str) -> None:
        metrics, outcome, error, route = self._metrics, ended.outcome, ended.error, entry.arrived.route.path
        status, result = ("200", "ok") if error is None else (str(error.status), error.code or error.type)
        metrics.requests[route, model, status, result].value += 1
        metrics.duration[route, model].observe(ended.ended_at - ended.at)
        if entry.history_source != "none":
            metrics.histories[(entry.history_source,)].value += 1
        if entry.commit_seconds is not None:
            metrics.commit[()].observe(entry.commit_seconds)
        for attempt in entry.attempt_outcomes:
            metrics.attempts[attempt].value += 1
        for outcome_of_break in entry.continuations:
            metrics.continuations[model, outcome_of_break].value += 1
        if isinstance(error, ClientLeft):
            metrics.cancellations[(entry.phase,)].value += 1
        if ended.stream and outcome is not None and outcome.events:
            metrics.ttft[(model,)].observe(outcome.first_at - ended.at)
            if (tokens := outcome.output_tokens) > 1:
                metrics.tpot[(model,)].observe((outcome.last_at - outcome.first_at) / (tokens - 1))

    def _charge(self, team: str, model: str, ended: Ended) -> None:
        """To the team of the request's key, its tokens also to the model; `refused` is by the key's own limits."""
        spent, outcome = self._metrics.teams[team], ended.outcome
        if ended.error is None:
            spent.ok += 1
        elif isinstance(ended.error, RateLimited):
            spent.refused += 1
        else:
            spent.error += 1
        if outcome is None:
            return
        tokens, usage = outcome.output_tokens, outcome.usage
        for taken in (spent, self._metrics.tokens[model]):
            taken.output += tokens
            if usage is not None:
                taken.prompt += usage.prompt_tokens
                taken.cached += usage.cached_tokens

    def _judge(self, entry: Entry, ended: Ended) -> None:
        """What it says of the demand, of its SLO class, of the lack of engines."""
        request, metrics, error, name = entry.request, self._metrics, ended.error, entry.slo_class
        if entry.offer is not None:
            self._demand.settle(entry.offer, ended.outcome.usage if ended.outcome is not None else None, error)
        if request is None or name is None or request.model not in self._demand.models:
            return
        if error is not None and isinstance(error, NoEngine):
            metrics.rejected[request.model, error.reason].value += 1
        good = self._slo.is_good(name, ended)
        if good is not None:
            labels = request.model, name
            metrics.slo_total[labels].value += 1
            metrics.slo_good[labels].value += good


def _bounded_model(entry: Entry) -> str:
    """A label: what an engine says it serves, never just what a client wrote."""
    if entry.request is None or entry.endpoint is None:
        return ""
    return entry.request.model if entry.request.model in entry.endpoint.models else "unlisted"
