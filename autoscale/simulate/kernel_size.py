"""Replicas that come, drain or die in a simulated fleet; how many is said by others."""

from __future__ import annotations

import math

from autoscale.simulate import replica, routing
from autoscale.simulate import replica_requests as running
from autoscale.simulate.kernel_events import leave_if_drained
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.replica_jump import steps_done
from autoscale.simulate.state import DRAINING, GONE, NONE, READY, State
from autoscale.simulate.state_lists import rekey, wait_pop


@compiled
def add(state: State, count: int, now: float) -> None:
    """In the first rows that are free; what is held goes to them."""
    totals = state.totals[0]
    row = 0
    for _ in range(count):
        while state.replicas[row]["state"] != GONE:
            row += 1
        _appear(state, row)
        totals["ready"] += 1
        totals["busy"] += 1
    while totals["held"] > 0 and totals["ready"] > 0:
        routing.send(state, routing.unhold(state), now)


@compiled
def drain(state: State, count: int) -> None:
    """The ready ones with the fewest requests in flight, of equals the lower row."""
    for _ in range(count):
        row = state.load_winner[1]
        state.replicas[row]["state"] = DRAINING
        state.totals[0]["ready"] -= 1
        routing.load_changed(state, row)
        leave_if_drained(state, row)


@compiled
def fail(state: State, row: int) -> None:
    """It takes no request any more, and nothing happens on it; its requests are still its own."""
    found = state.replicas[row]
    if found["state"] == READY:
        state.totals[0]["ready"] -= 1
    found["state"] = DRAINING
    routing.load_changed(state, row)
    rekey(state.next_event, state.next_winner, row, math.inf)


@compiled
def scatter(state: State, row: int, now: float) -> None:
    """A failed replica's requests go elsewhere with the tokens that they have, oldest admission first."""
    found = state.replicas[row]
    steps = steps_done(found, now)
    state.totals[0]["busy_seconds"] += now - found["begin"] if found["steps"] > 0 else 0.0
    replica.settle(state, row, steps)
    found["steps"] = 0
    last = NONE
    while found["run_tail"] != NONE:
        number = running.preempt(state, row)
        state.requests[number]["next"] = last
        last = number
    while last != NONE:
        number, last = last, state.requests[last]["next"]
        routing.send(state, number, now)
    while found["wait_head"] != NONE:
        routing.send(state, wait_pop(found, state.requests), now)
    found["in_flight"] = 0
    leave_if_drained(state, row)


@compiled
def _appear(state: State, row: int) -> None:
    totals, found = state.totals[0], state.replicas[row]
    totals["serials"] += 1
    found["state"], found["serial"] = READY, totals["serials"]
    found["steps"] = found["chunk"] = found["step"] = found["batch"] = found["context"] = 0
    found["running"] = found["in_flight"] = found["used"] = found["idle"] = 0
    found["prefilling"] = found["waiting_tokens"] = 0
    found["run_head"] = found["run_tail"] = found["prefill"] = NONE
    found["wait_head"] = found["wait_tail"] = found["lru_head"] = found["lru_tail"] = NONE
    state.phases[row, :] = 0
    routing.load_changed(state, row)
