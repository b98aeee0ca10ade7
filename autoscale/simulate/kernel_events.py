"""What happens next in a simulated fleet, and then: the end of a replica's jump, an arrival, a hold that ends."""

from __future__ import annotations

import math

from autoscale.simulate import prefix, replica, routing
from autoscale.simulate import replica_requests as running
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import DRAINING, GONE, NONE, State


@compiled
def run(state: State, until: float) -> None:
    """Everything that happens up to this time; of what happens at once, ends of steps come first, arrivals last."""
    totals = state.totals[0]
    while True:
        row = state.next_winner[1]
        step, held = state.next_event[row], routing.held_until(state)
        more = totals["arrived"] < len(state.requests)
        arrival = state.requests[totals["arrived"]]["at"] if more else math.inf
        if min(step, held, arrival) > until:
            return
        if step <= held and step <= arrival:
            end_jump(state, row)
        elif held <= arrival:
            routing.expire(state)
        else:
            routing.arrive(state, arrival)


@compiled
def end_jump(state: State, row: int) -> None:
    """The replica's steps up to its next event are over; tokens are handed out and the next jump begins."""
    found, totals = state.replicas[row], state.totals[0]
    now = state.next_event[row]
    totals["busy_seconds"] += now - found["begin"]
    totals["prefill_busy_seconds"] += found["prefill_part"]
    totals["prefilled"] += found["chunk"]
    replica.settle(state, row, found["steps"])
    before = found["in_flight"]
    _finish(state, row, now)
    _prefill(state, row, now)
    if found["in_flight"] != before:
        routing.load_changed(state, row)
    replica.begin(state, row, now)
    leave_if_drained(state, row)


@compiled
def leave_if_drained(state: State, row: int) -> None:
    """Once it has finished all it had."""
    found = state.replicas[row]
    if found["state"] != DRAINING or found["in_flight"] > 0:
        return
    while found["lru_head"] != NONE:
        prefix.forget(state, row, found["lru_head"])
    found["state"] = GONE
    state.totals[0]["busy"] -= 1


@compiled
def _finish(state: State, row: int, now: float) -> None:
    number = running.next_finished(state, row)
    while number != NONE:
        _complete(state, row, number, now)
        number = running.next_finished(state, row)


@compiled
def _prefill(state: State, row: int, now: float) -> None:
    number = running.next_prefilled(state, row)
    while number != NONE:
        routing.first_token(state, number, now)
        state.totals[0]["generated"] += 1
        if state.requests[number]["emitted"] < state.requests[number]["output"]:
            running.decode(state, row, number)
        else:
            _complete(state, row, number, now)
        number = running.next_prefilled(state, row)


@compiled
def _complete(state: State, row: int, number: int, now: float) -> None:
    request = state.requests[number]
    tokens = request["prompt"] + request["output"] - 1
    running.release(state, row, number, tokens)
    prefix.keep(state, row, number, tokens // state.limits[0]["block_tokens"])
    prefix.trim(state, row, 0)
    state.replicas[row]["in_flight"] -= 1
    routing.last_token(state, number, now)
