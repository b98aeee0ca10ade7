"""One request in nine steps, in order. Read this first.

1 auth      key → `Caller`                                    auth.py
2 request   body → `GenerationRequest`                        wire.py, fields.py, checks.py, content.py
3 budget    `Caller`, estimate → `Reservation`                budget.py
4 session   what is kept → `Kept`, with its history           state/session.py, state/kept.py
5 cache     (answers given before: not here yet)
6 route     model → ordered candidates, or a nap until        route.py, start.py, hold.py
            an engine comes
7 attempt   candidates → `Started`, an engine's first bytes   attempt.py
8 relay     `Started` → the client's bytes, `Outcome`; a      relay.py, streaming.py,
            broken stream goes on at another engine           continuation/
9 ledger    the turn → the durable store, then its end        state/commit.py
            → the client; metrics and one log line            ledger.py, demand.py, slo.py, log_line.py
"""

from __future__ import annotations

import asyncio
import logging

from serving.errors import EngineRefused, InternalError, RequestError, ShuttingDown
from serving.front import streaming, wire
from serving.front.auth import authorise
from serving.front.entry import Entry
from serving.front.exchange import Exchange
from serving.front.relay import Client, Whole
from serving.front.start import start
from serving.front.steps import Admitted, Steps
from serving.front.wire import Arrived

_log = logging.getLogger("tidegate.front")


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
    started = await start(steps, entry, admitted)
    entry.attempt_at = steps.clock()
    if entry.offer is not None and (request.stream or entry.held_seconds):
        entry.offer.begun()
    try:
        if request.stream:
            await streaming.relay(steps, entry, admitted, client, started)
        else:
            with started:
                entry.outcome = Whole(started, client).outcome
    finally:
        steps.hold.ended(request.model)
        if entry.outcome is not None:
            reservation.settle(entry.outcome().tokens_or(request.prompt_tokens))


def _told(error: BaseException, arrived: Arrived, client: Exchange) -> RequestError:
    """What the client is told of whatever ended its request."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return client.stopped_by or ShuttingDown("The server is shutting down. Try again.")
    _log.error("request %s failed", arrived.id, exc_info=error)
    return InternalError("The server failed on this request.")
