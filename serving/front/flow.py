"""One request in nine steps, in order. Read this first.

1 auth      key → `Caller`                                    auth.py
2 request   body → `GenerationRequest`                        wire.py, checks.py, fields.py
3 budget    `Caller`, estimate → `Reservation`                budget.py
4 session   (conversations kept by the server: not here yet)
5 cache     (answers given before: not here yet)
6 route     model → ordered candidates                        route.py
7 attempt   candidates → `Started`, an engine's first bytes   attempt.py
8 relay     `Started` → the client's bytes, `Outcome`         relay.py
9 ledger    → metrics and one log line                        ledger.py
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import InternalError, RequestError, ShuttingDown
from serving.front import wire
from serving.front.attempt import Attempts
from serving.front.auth import Auth, authorise
from serving.front.budget import Budget
from serving.front.exchange import Exchange
from serving.front.ledger import Entry, Ledger
from serving.front.relay import Stream, Whole
from serving.front.route import Fleet
from serving.front.wire import Arrived
from serving.settings import LimitSettings

_log = logging.getLogger("tidegate.front")


@dataclass(frozen=True, slots=True)
class Steps:
    """The owners of each step's state."""

    auth: Auth
    budget: Budget
    fleet: Fleet
    attempts: Attempts
    ledger: Ledger
    limits: LimitSettings
    clock: Callable[[], float]


async def serve(steps: Steps, arrived: Arrived, client: Exchange) -> None:
    """Answer one request, whatever happens."""
    clock = steps.clock
    entry = Entry(arrived)
    try:
        entry.caller = caller = steps.auth.identify(arrived.headers)
        entry.auth_at = clock()
        entry.request = request = wire.read(arrived, steps.limits)
        authorise(caller, request.model)
        entry.request_at = clock()
        with steps.budget.reserve(caller, request.prompt_tokens + request.output_tokens) as reservation:
            entry.budget_at = clock()
            client.begin(reservation.headers, stream=request.stream)
            candidates = steps.fleet.candidates(request.model)
            entry.route_at = clock()
            with await steps.attempts.start(
                request, candidates, request_id=arrived.id, cache_salt=caller.cache_salt, trail=entry
            ) as started:
                entry.attempt_at = clock()
                try:
                    if request.stream:
                        stream = Stream(started, request, client, clock)
                        entry.outcome = stream.outcome
                        await stream.done
                    else:
                        entry.outcome = Whole(started, client).outcome
                finally:
                    if entry.outcome is not None:
                        outcome = entry.outcome()
                        reservation.settle(outcome.tokens_or(request.prompt_tokens))
                        if outcome.error is not None:
                            steps.fleet.failed(started.endpoint)
        entry.relay_at = clock()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the edge of a request
        entry.error = _told(error, arrived, client)
        client.refuse(entry.error)
    finally:
        steps.ledger.close(entry)


def _told(error: BaseException, arrived: Arrived, client: Exchange) -> RequestError:
    """What the client is told of whatever ended its request."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return client.stopped_by or ShuttingDown("The server is shutting down. Try again.")
    _log.error("request %s failed", arrived.id, exc_info=error)
    return InternalError("The server failed on this request.")
