"""Steps 6 and 7 together: an engine's first bytes, at once or, where the model has no engine, when one comes."""

from __future__ import annotations

from collections.abc import Awaitable

from serving.errors import EngineFailed, NoEngine
from serving.front.attempt import Started
from serving.front.entry import Entry
from serving.front.steps import Admitted, Steps


async def start(steps: Steps, entry: Entry, admitted: Admitted) -> Started:
    """Raises what `Attempts.start` raises, and `NoEngine` when no engine comes in time or too many wait."""
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
    if not entry.attempt_at:
        entry.route_at = steps.clock()
    return steps.attempts.start(
        request, candidates, request_id=entry.arrived.id, cache_salt=caller.cache_salt, trail=entry
    )
