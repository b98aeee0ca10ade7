"""One request in nine steps, in order. Read this first.

1 auth      key → `Caller`                                    auth.py
2 request   body → `GenerationRequest`                        wire.py, checks.py, fields.py
3 budget    `Caller`, estimate → `Reservation`                budget.py
4 session   what is kept → `Kept`, with its history           state/session.py, state/kept.py
5 cache     (answers given before: not here yet)
6 route     model → ordered candidates, or a nap until        route.py, hold.py
            an engine comes
7 attempt   candidates → `Started`, an engine's first bytes   attempt.py
8 relay     `Started` → the client's bytes, `Outcome`         relay.py
9 ledger    the turn → the durable store, then its end        state/commit.py
            → the client; metrics and one log line            ledger.py, demand.py, slo.py, log_line.py
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from serving.errors import EngineFailed, EngineRefused, InternalError, NoEngine, RequestError, ShuttingDown
from serving.front import wire
from serving.front.attempt import Attempts, Started
from serving.front.auth import Auth, Caller, authorise
from serving.front.budget import Budget, Reservation
from serving.front.demand import Demand
from serving.front.entry import Entry
from serving.front.exchange import Exchange
from serving.front.hold import Hold
from serving.front.ledger import Ledger
from serving.front.relay import Client, Stream, Whole
from serving.front.route import Fleet
from serving.front.slo import Slo
from serving.front.state.kept import Keeping
from serving.front.wire import Arrived, GenerationRequest
from serving.settings import LimitSettings

_log = logging.getLogger("tidegate.front")


@dataclass(frozen=True, slots=True)
class Steps:
    """The owners of each step's state."""

    auth: Auth
    budget: Budget
    slo: Slo
    demand: Demand
    fleet: Fleet
    hold: Hold
    attempts: Attempts
    keeping: Keeping
    ledger: Ledger
    limits: LimitSettings
    clock: Callable[[], float]


class Admitted(NamedTuple):
    """What the first three steps gave."""

    caller: Caller
    request: GenerationRequest
    reservation: Reservation


async def serve(steps: Steps, arrived: Arrived, client: Exchange) -> None:
    """Answer one request, whatever happens."""
    clock = steps.clock
    entry = Entry(arrived)
    try:
        entry.caller = caller = steps.auth.identify(arrived.headers)
        entry.auth_at = clock()
        entry.request = request = wire.read(arrived, steps.limits)
        authorise(caller, request.model)
        entry.slo_class = steps.slo.class_of(arrived.headers, caller)
        entry.request_at = clock()
        with steps.budget.reserve(caller, request.prompt_tokens + request.output_tokens) as reservation:
            entry.budget_at = clock()
            admitted = Admitted(caller, request, reservation)
            if request.keep is None:
                entry.offer = steps.demand.offer(request, arrived.at)
                client.begin(reservation.headers, stream=request.stream)
                await _generate(steps, entry, admitted, client)
            else:
                await _generate_kept(steps, entry, admitted, client)
        entry.relay_at = clock()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the edge of a request
        entry.error = _told(error, arrived, client)
        client.refuse(entry.error)
    finally:
        steps.ledger.close(entry)


async def _generate_kept(steps: Steps, entry: Entry, admitted: Admitted, client: Exchange) -> None:
    """The same for a request whose turn or answer is kept: its history before, its commit after."""
    caller, request, reservation = admitted
    kept = await steps.keeping.begin(caller, request, client, entry.arrived.id)
    entry.session_at = steps.clock()
    if kept is None:
        return
    entry.history_source = kept.source
    entry.offer = steps.demand.offer(request, entry.arrived.at, kept.history_tokens)
    async with kept:
        await kept.start(reservation.headers)
        while True:
            try:
                await _generate(steps, entry, admitted._replace(request=kept.request), kept.keeper)
                break
            except EngineRefused as refused:
                if not kept.shorten(refused):
                    raise
        if entry.outcome is not None:
            entry.commit_seconds = await kept.commit(entry.outcome())


async def _generate(steps: Steps, entry: Entry, admitted: Admitted, client: Client) -> None:
    _, request, reservation = admitted
    with await _start(steps, entry, admitted) as started:
        entry.attempt_at = steps.clock()
        if entry.offer is not None:
            entry.offer.begun()
        try:
            if request.stream:
                stream = Stream(started, request, client, steps.clock)
                entry.outcome = stream.outcome
                await stream.done
            else:
                entry.outcome = Whole(started, client).outcome
        finally:
            steps.hold.ended(request.model)
            if entry.outcome is not None:
                outcome = entry.outcome()
                reservation.settle(outcome.tokens_or(request.prompt_tokens))
                if outcome.error is not None:
                    steps.fleet.failed(started.endpoint)


async def _start(steps: Steps, entry: Entry, admitted: Admitted) -> Started:
    """Steps 6 and 7: at once where the model has an engine, else behind those that wait for one."""
    model, reason = admitted.request.model, None
    if not steps.hold.is_ahead(model, steps.fleet.ready):
        try:
            return await _attempt(steps, entry, admitted)
        except (NoEngine, EngineFailed) as error:
            if not steps.hold.takes(error):
                raise
            reason = error
    return await _wait_and_start(steps, entry, admitted, reason)


async def _wait_and_start(
    steps: Steps, entry: Entry, admitted: Admitted, reason: NoEngine | EngineFailed | None
) -> Started:
    """Raises what `_attempt` raises, and `NoEngine` when no engine comes in time or too many wait."""
    offer, model = entry.offer, admitted.request.model
    assert offer is not None
    with steps.hold.enter(model, len(entry.arrived.body)) as held:
        while True:
            began = steps.clock()
            offer.held()
            try:
                await held.nap(reason)
            finally:
                entry.held_seconds += steps.clock() - began
            offer.sent()
            # What broke an engine that is still there is asked again within the budget for retries only.
            if isinstance(reason, EngineFailed) and not held.is_excused and not steps.attempts.retries.allows(reason):
                raise reason
            try:
                return await _attempt(steps, entry, admitted)
            except (NoEngine, EngineFailed) as error:
                if not steps.hold.takes_back(error):
                    raise
                reason = error


def _attempt(steps: Steps, entry: Entry, admitted: Admitted) -> Awaitable[Started]:
    caller, request, _ = admitted
    candidates = steps.fleet.candidates(request.model)
    entry.route_at = steps.clock()
    return steps.attempts.start(
        request, candidates, request_id=entry.arrived.id, cache_salt=caller.cache_salt, trail=entry
    )


def _told(error: BaseException, arrived: Arrived, client: Exchange) -> RequestError:
    """What the client is told of whatever ended its request."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return client.stopped_by or ShuttingDown("The server is shutting down. Try again.")
    _log.error("request %s failed", arrived.id, exc_info=error)
    return InternalError("The server failed on this request.")
