"""Steps 6 and 7 together: an engine's first bytes, at once or, where the model has no engine, when one comes."""

from __future__ import annotations

from collections.abc import Awaitable

from serving.errors import EngineFailed, NoEngine
from serving.front.attempt import Started
from serving.front.entry import Entry
from serving.front.route import Endpoint
from serving.front.steps import Admitted, Steps


async def start(steps: Steps, entry: Entry, admitted: Admitted, broken: Endpoint | None = None) -> Started:
    """Raises what `Attempts.start` raises, and `NoEngine` when no engine comes in time or too many wait.

    `broken` is the engine that died in the middle of the answer that goes on: without another one it is not asked
    before it had time to be gone.
    """
    model = admitted.request.model
    reason: NoEngine | EngineFailed | None = None
    if broken is not None:
        waits = steps.hold.is_on and not steps.fleet.has_other(model, broken)
        reason = EngineFailed("The engine died in the middle of the answer.") if waits else None
    else:
        waits = steps.hold.is_ahead(model, steps.fleet.ready)
    if not waits:
        try:
            return await _attempt(steps, entry, admitted, goes_on=broken is not None)
        except (NoEngine, EngineFailed) as error:
            if not (steps.hold.takes(error) or _goes_on(steps, broken, error)):
                raise
            reason = error
    return await _wait_and_start(steps, entry, admitted, reason, broken)


def _goes_on(steps: Steps, broken: Endpoint | None, error: NoEngine | EngineFailed) -> bool:
    """An answer that began waits for what a new request is refused for, unless it is what engines die of."""
    return broken is not None and steps.hold.is_on and error.should_retry is not False


async def _wait_and_start(
    steps: Steps,
    entry: Entry,
    admitted: Admitted,
    reason: NoEngine | EngineFailed | None,
    broken: Endpoint | None,
) -> Started:
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
            is_charged = broken is None and not held.is_excused
            if isinstance(reason, EngineFailed) and is_charged and not steps.attempts.retries.allows(reason):
                raise reason
            try:
                return await _attempt(steps, entry, admitted, goes_on=broken is not None)
            except (NoEngine, EngineFailed) as error:
                if not (steps.hold.takes_back(error) or _goes_on(steps, broken, error)):
                    raise
                reason = error


def _attempt(steps: Steps, entry: Entry, admitted: Admitted, *, goes_on: bool) -> Awaitable[Started]:
    caller, request, _ = admitted
    candidates = steps.fleet.candidates(request.model)
    if goes_on:
        # Token ids mean other words, or nothing, to another kind of server.
        candidates = [endpoint for endpoint in candidates if endpoint.is_vllm]
    if not entry.attempt_at:
        entry.route_at = steps.clock()
    return steps.attempts.start(
        request, candidates, request_id=entry.arrived.id, cache_salt=caller.cache_salt, trail=entry
    )
