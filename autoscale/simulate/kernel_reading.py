"""Reads a simulated fleet between two events and changes nothing that could move one."""

from __future__ import annotations

from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.replica_jump import blocks_taken, steps_done
from autoscale.simulate.state import GONE, READY, REJECTED, State


@compiled
def gauges(state: State, now: float) -> tuple[int, int, int, int]:
    """Requests that run and that wait in replicas, blocks in use on the ready ones, tokens of jumps under way."""
    running = waiting = used = generated = 0
    for row in range(len(state.replicas)):
        found = state.replicas[row]
        if found["state"] == GONE:
            continue
        steps = steps_done(found, now)
        running += found["running"]
        waiting += found["in_flight"] - found["running"]
        generated += steps * found["batch"]
        if found["state"] == READY:
            used += found["used"] + blocks_taken(found, state.phases[row], steps)
    return running, waiting, used, generated


@compiled
def oldest_wait(state: State, now: float) -> float:
    """Age of the oldest request without a first token; 0: there is none."""
    totals = state.totals[0]
    number = totals["oldest"]
    while number < totals["arrived"]:
        request = state.requests[number]
        if request["first"] != request["first"] and request["outcome"] != REJECTED:
            break
        number += 1
    totals["oldest"] = number
    if number == totals["arrived"]:
        return 0.0
    age: float = now - state.requests[number]["at"]
    return age
