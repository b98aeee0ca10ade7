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
from serving.front.budget import Budget, Reservation
from serving.front.exchange import Exchange
from serving.front.ledger import Entry, Ledger
from serving.front.relay import Stream, deliver
from serving.front.route import Fleet
from serving.front.wire import Arrived, GenerationRequest
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
    entry = Entry(arrived)
    try:
        await _answer(steps, arrived, client, entry)
    except RequestError as error:
        entry.error = error
        client.refuse(error)
    except asyncio.CancelledError:
        entry.error = client.stopped_by or ShuttingDown("The server is shutting down. Try again.")
        client.refuse(entry.error)
    except Exception:  # noqa: BLE001 - the edge of a request
        _log.exception("request %s failed", arrived.id)
        entry.error = InternalError("The server failed on this request.")
        client.refuse(entry.error)
    finally:
        steps.ledger.close(entry)


async def _answer(steps: Steps, arrived: Arrived, client: Exchange, entry: Entry) -> None:
    clock = steps.clock
    entry.caller = caller = steps.auth.identify(arrived.headers)
    entry.auth_at = clock()
    entry.request = request = wire.read(arrived, steps.limits)
    authorise(caller, request.model)
    entry.request_at = clock()
    with steps.budget.reserve(caller, request.prompt_tokens + request.output_tokens) as reservation:
        entry.budget_at = clock()
        client.extra_headers = reservation.headers
        candidates = steps.fleet.candidates(request.model)
        entry.route_at = clock()
        if request.stream:
            client.expect_stream()
        with await steps.attempts.start(
            request, candidates, request_id=arrived.id, cache_salt=caller.cache_salt, trail=entry
        ) as started:
            entry.attempt_at = clock()
            if request.stream:
                await _relay(steps, Stream(started, request, client, clock), entry, reservation, request)
            else:
                outcome = deliver(started, client)
                entry.outcome = lambda: outcome
                reservation.settle(outcome.tokens_or(request.prompt_tokens))
        entry.relay_at = clock()


async def _relay(
    steps: Steps, stream: Stream, entry: Entry, reservation: Reservation, request: GenerationRequest
) -> None:
    entry.outcome = stream.outcome
    try:
        await stream.done()
    finally:
        reservation.settle(stream.outcome().tokens_or(request.prompt_tokens))
        if stream.outcome().error is not None and entry.endpoint is not None:
            steps.fleet.failed(entry.endpoint)
