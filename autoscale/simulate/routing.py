"""The front before a simulated fleet: which replica a request goes to, what is held, what is refused.

Least requests in flight first, or where the group's prefix is cached. It does not know what a replica does with one.
"""

from __future__ import annotations

import math

from autoscale.simulate import prefix, replica
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import DONE, IN_FLIGHT, NONE, READY, REJECTED, State
from autoscale.simulate.state_lists import rekey


@compiled
def arrive(state: State, now: float) -> None:
    """The next request of the trace is at the front."""
    totals, limit = state.totals[0], state.limits[0]
    number = totals["arrived"]
    request = state.requests[number]
    totals["arrived"] += 1
    row = _choose(state, number)
    request["offered"] = request["prompt"]
    if row != NONE:
        hit = prefix.hit_blocks(state, prefix.find(state, row, request["group"]), request)
        request["offered"] -= hit * limit["block_tokens"]
    totals["offered_prefill"] += request["offered"]
    totals["offered_decode"] += request["output"]
    _queue(state, number, 1)
    if row == NONE:
        hold(state, number, now)
    elif _predicted_wait(state, row) > limit["shed_wait"]:
        _reject(state, number)
    else:
        _place(state, row, number, now)


@compiled
def send(state: State, number: int, now: float) -> None:
    """A request that had been taken in goes to whatever replica there is, or is held."""
    row = _choose(state, number)
    if row == NONE:
        hold(state, number, now)
    else:
        _place(state, row, number, now)


@compiled
def hold(state: State, number: int, now: float) -> None:
    """No replica takes requests: it waits at the front, in order, while there is room."""
    totals, request = state.totals[0], state.requests[number]
    if totals["held"] >= state.limits[0]["max_held"]:
        _reject(state, number)
        return
    request["outcome"], request["held_since"], request["next"] = IN_FLIGHT, now, NONE
    if totals["held_head"] == NONE:
        totals["held_head"] = number
    else:
        state.requests[totals["held_tail"]]["next"] = number
    totals["held_tail"] = number
    totals["held"] += 1


@compiled
def unhold(state: State) -> int:
    """The request that has been held longest; there is one."""
    totals = state.totals[0]
    number: int = totals["held_head"]
    totals["held_head"] = state.requests[number]["next"]
    totals["held"] -= 1
    if totals["held"] == 0:
        totals["held_tail"] = NONE
    return number


@compiled
def held_until(state: State) -> float:
    """When the request that has been held longest is given up; infinity: none is held."""
    head = state.totals[0]["held_head"]
    if head == NONE:
        return math.inf
    until: float = state.requests[head]["held_since"] + state.limits[0]["hold"]
    return until


@compiled
def expire(state: State) -> None:
    """The request that has been held longest is refused."""
    _reject(state, unhold(state))


@compiled
def first_token(state: State, number: int, now: float) -> None:
    """The client sees it for the first time; after a pre-emption or a failure it has seen it before."""
    request = state.requests[number]
    if request["first"] == request["first"]:
        return
    request["first"] = now + state.limits[0]["delay"]
    _queue(state, number, -1)
    bucket = 0
    while bucket < len(state.ttft_edges) and state.ttft_edges[bucket] < request["first"] - request["at"]:
        bucket += 1
    state.ttft_counts[bucket] += 1


@compiled
def last_token(state: State, number: int, now: float) -> None:
    """The answer is complete, and good or not."""
    totals, limit, request = state.totals[0], state.limits[0], state.requests[number]
    request["last"], request["outcome"], request["replica"] = now + limit["delay"], DONE, NONE
    slow = request["output"] > 1 and (request["last"] - request["first"]) / (request["output"] - 1) > limit["tpot"]
    totals["tpot_over"] += slow
    totals["slo_total"] += 1
    totals["slo_good"] += not slow and request["first"] - request["at"] <= limit["ttft"]


@compiled
def load_changed(state: State, row: int) -> None:
    """Its requests in flight, or whether it takes new ones."""
    found = state.replicas[row]
    key = float(found["in_flight"]) if found["state"] == READY else math.inf
    rekey(state.load, state.load_winner, row, key)


@compiled
def _choose(state: State, number: int) -> int:
    """NONE: no replica takes requests."""
    best = state.load_winner[1]
    if state.load[best] == math.inf:
        return NONE
    group, affinity = state.requests[number]["group"], state.limits[0]["affinity"]
    if group >= 0 and affinity >= 0:
        home = state.groups[group]["home"]
        same = home != NONE and state.replicas[home]["serial"] == state.groups[group]["home_serial"]
        if same and state.load[home] <= state.load[best] + affinity:
            return int(home)
    return int(best)


@compiled
def _place(state: State, row: int, number: int, now: float) -> None:
    request, found = state.requests[number], state.replicas[row]
    request["outcome"], request["replica"] = IN_FLIGHT, row
    if request["group"] >= 0:
        group = state.groups[request["group"]]
        group["home"], group["home_serial"] = row, found["serial"]
    found["in_flight"] += 1
    load_changed(state, row)
    replica.offer(state, row, number, now)


@compiled
def _predicted_wait(state: State, row: int) -> float:
    found = state.replicas[row]
    seconds: float = (found["prefilling"] + found["waiting_tokens"]) / state.limits[0]["shed_rate"]
    return seconds


@compiled
def _reject(state: State, number: int) -> None:
    request = state.requests[number]
    request["outcome"], request["replica"] = REJECTED, NONE
    if request["first"] != request["first"]:
        _queue(state, number, -1)
    state.totals[0]["rejected"] += 1
    state.totals[0]["slo_total"] += 1


@compiled
def _queue(state: State, number: int, sign: int) -> None:
    """It has no first token, or has it now."""
    totals, request = state.totals[0], state.requests[number]
    totals["waiting"] += sign
    totals["queued_prefill"] += sign * request["offered"]
    totals["queued_decode"] += sign * request["output"]
