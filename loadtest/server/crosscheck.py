"""Whether client, front and engines counted the same requests, tokens and first-token times; pure, it scrapes nothing.

Counts must be equal once all requests have ended. Requests whose client left widen them to a range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.results import CrossCheck, Reconciled
from loadtest.server.exposition import Snapshot, Snapshots, increase, restarted, summed
from loadtest.server.latency import compared
from loadtest.server.tally import Range, Tally, tally
from serving.metrics import FrontSeries, VllmSeries

_FINISHED = ("stop", "length", "repetition")


@dataclass(frozen=True)
class Expect:
    """What of the plan the counts depend on. `streams` by traffic class; `choices` is the body's n."""

    streams: tuple[bool, ...]
    choices: int = 1
    network_seconds: float = 0.02
    """How far the client's mean TTFT may lie above that of the server it talks to, where 20 % of it is less."""

    @classmethod
    def of(cls, plan: Plan) -> Expect:
        """That of a plan."""
        streams = tuple(entry.stream for entry in plan.workload.classes)
        return cls(streams, int(plan.workload.body.get("n") or 1))


@dataclass(frozen=True)
class _Side:
    """What one tier gained between two scrapes, and why its counts may be off."""

    name: str
    gained: Snapshot
    restarts: tuple[str, ...]

    def count(self, what: str, client: Range, server: float) -> Reconciled:
        """One figure that has to be in a range."""
        holds = client.holds(server)
        note = "" if client.low == client.high else f"by the client {client}"
        if not holds:
            note = f"the client says {client}, the server {server:.0f}: {self._cause(server > client.high)}"
        return Reconciled(f"{self.name}: {what}", client.low, server, holds, note)

    def _cause(self, too_many: bool) -> str:
        if self.restarts:
            return f"{', '.join(self.restarts)} restarted: its counters went back"
        if too_many:
            return "another client was using the server"
        return "requests went to a server that is not read here, or had not ended at the last scrape"


def reconcile(
    before: Snapshots, after: Snapshots, rows: Rows, expect: Expect, at_engines: Rows | None = None
) -> CrossCheck:
    """Compare everything that the client sent between the scrapes, warm-up and all, with what the servers gained.

    `rows` are those of this target; `at_engines` those of all targets, where these share their engines.
    """
    counted = tally(rows, expect.streams)
    front = _front(before, after)
    engines, absent = _engines(before, after)
    entries: list[Reconciled] = []
    notes = [*before.notes, *after.notes, *absent]
    lost = 0.0
    if front is not None:
        lost = _failed_attempts(front.gained)
        entries += _at_front(front, counted, expect)
        if lost:
            notes.append(f"the front lost {lost:.0f} attempts at engines; what it could it sent again elsewhere")
    if engines is not None:
        counted = counted if at_engines is None else tally(at_engines, expect.streams)
        if front is not None or at_engines is not None:
            # Between client and engine lies a front, whose own time is no fault.
            expect = replace(expect, network_seconds=math.inf)
        entries += _at_engines(engines, counted, expect, lost)
    if not entries:
        notes.append("no server could be read both before and after the run")
    return CrossCheck(bool(entries), tuple(entries), "; ".join(dict.fromkeys(notes)))


def _front(before: Snapshots, after: Snapshots) -> _Side | None:
    if before.front is None or after.front is None:
        return None
    names = ("the front",) if restarted(before.front, after.front) else ()
    return _Side("front", increase(before.front, after.front), names)


def _engines(before: Snapshots, after: Snapshots) -> tuple[_Side | None, list[str]]:
    """All engines as one. An engine that is new counts from zero; one that is not read at both ends spoils the sum."""
    unread = sorted((before.engines.keys() | before.missing | after.missing) - after.engines.keys())
    unread += sorted(before.missing & after.engines.keys())
    if unread:
        return None, [f"engines are not compared: {', '.join(unread)} was not read both before and after"]
    if not after.engines:
        return None, []
    pairs = {url: (before.engines.get(url, Snapshot()), now) for url, now in after.engines.items()}
    names = tuple(url for url, (then, now) in pairs.items() if restarted(then, now))
    return _Side("engines", summed(increase(then, now) for then, now in pairs.values()), names), []


def _at_front(side: _Side, counted: Tally, expect: Expect) -> Iterator[Reconciled]:
    outcomes = side.gained.by(FrontSeries.REQUESTS, "outcome")
    answered, every = outcomes.get("ok", 0.0), sum(outcomes.values())
    yield side.count("requests", counted.reached, every)
    yield side.count("requests answered", counted.answered, answered)
    yield side.count("requests failed", counted.failed, every - answered - outcomes.get("client_left", 0.0))
    tokens = side.gained.by(FrontSeries.TOKENS, "kind")
    yield side.count("output tokens", counted.output_tokens, tokens.get("output", 0.0))
    yield side.count("prompt tokens", counted.prompt_tokens, tokens.get("prompt", 0.0))
    yield from _first_tokens(side, FrontSeries.TTFT, counted, counted.firsts, expect)


def _at_engines(side: _Side, counted: Tally, expect: Expect, lost: float) -> Iterator[Reconciled]:
    """`lost`: attempts that the front gave up, of which an engine may have finished some all the same."""
    finished = sum(side.gained.total(VllmSeries.FINISHED, finished_reason=reason) for reason in _FINISHED)
    # A request that failed at the front may have been whole at its engine.
    behind_front = counted.failed.low if lost else 0.0
    yield side.count(
        "requests finished", _widened(_times(counted.answered, expect.choices), lost + behind_front), finished
    )
    unsure = math.inf if lost else 0.0
    yield side.count(
        "output tokens", _widened(counted.output_tokens, unsure), side.gained.total(VllmSeries.OUTPUT_TOKENS)
    )
    if expect.choices == 1:
        prompts = side.gained.total(VllmSeries.PROMPT_TOKENS)
        yield side.count("prompt tokens", _widened(counted.prompt_tokens, unsure), prompts)
        if counted.all_streams:
            yield from _first_tokens(side, VllmSeries.TTFT, counted, _widened(counted.firsts, lost), expect)


def _first_tokens(side: _Side, series: str, counted: Tally, firsts: Range, expect: Expect) -> Iterator[Reconciled]:
    """Their number and, where that holds, their times."""
    buckets = side.gained.buckets(series)
    entry = side.count("first tokens", firsts, buckets[-1][1] if buckets else 0.0)
    yield entry
    if entry.holds and len(counted.first_seconds):
        total = side.gained.total(f"{series}_sum")
        yield compared(f"{side.name}: mean TTFT, ms", counted.first_seconds, buckets, total, expect.network_seconds)


def _failed_attempts(gained: Snapshot) -> float:
    outcomes = gained.by(FrontSeries.ATTEMPTS, "outcome")
    return sum(count for outcome, count in outcomes.items() if outcome not in ("ok", "refused"))


def _times(span: Range, factor: int) -> Range:
    return Range(span.low * factor, span.high * factor)


def _widened(span: Range, more: float) -> Range:
    return Range(span.low, span.high + more)
