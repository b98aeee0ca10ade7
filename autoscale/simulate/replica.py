"""One vLLM replica as its queue and its clock: jumps of many scheduler steps, each ended by what changes the next.

Chunked prefill within a budget of tokens, continuous batching. It does not know where requests come from; whoever
offers one has ended every jump that is due.
"""

from __future__ import annotations

import math

from autoscale.simulate import prefix
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.replica_admission import admit, make_room
from autoscale.simulate.replica_jump import blocks_taken, elapsed, steps_done, steps_that_fit
from autoscale.simulate.replica_requests import pairs
from autoscale.simulate.state import NONE, State
from autoscale.simulate.state_lists import rekey, wait_append


@compiled
def offer(state: State, row: int, number: int, now: float) -> None:
    """The request joins the replica's queue; a jump under way ends with the step under way if it can be admitted."""
    replica = state.replicas[row]
    first = replica["wait_head"] == NONE
    wait_append(replica, state.requests, number)
    if replica["steps"] == 0:
        begin(state, row, now)
    elif first and replica["chunk"] == 0 and replica["running"] < state.limits[0]["max_num_seqs"]:
        replica["steps"] = min(replica["steps"], steps_done(replica, now) + 1)
        _due(state, row)


@compiled
def begin(state: State, row: int, now: float) -> None:
    """The next jump, as far as nothing changes: to the end of a prefill's step, of a request, of the free blocks."""
    replica, limit = state.replicas[row], state.limits[0]
    preempted = make_room(state, row)
    budget = limit["max_batched_tokens"] - replica["batch"]
    if not preempted:
        admit(state, row, budget)
    chunk = min(budget, replica["prefilling"])
    batch = replica["batch"]
    replica["chunk"] = chunk
    replica["begin"] = now
    replica["prefill_part"] = limit["prefill"] * chunk
    if limit["attention"] > 0:
        replica["prefill_part"] += limit["attention"] * pairs(state, row, chunk)
    replica["first_step"] = (
        limit["base"] + replica["prefill_part"] + limit["sequence"] * batch + limit["context"] * replica["context"]
    )
    replica["growth"] = limit["context"] * batch
    if chunk > 0 or preempted:
        replica["steps"] = 1
    elif batch == 0:
        replica["steps"] = 0
    else:
        ahead = (state.finishes[row, 0] >> 32) - replica["step"]
        free = limit["blocks"] - replica["used"]
        replica["steps"] = steps_that_fit(replica, state.phases[row], free, ahead)
    _due(state, row)


@compiled
def settle(state: State, row: int, steps: int) -> None:
    """So many steps of the jump have been taken."""
    replica, totals = state.replicas[row], state.totals[0]
    tokens = steps * replica["batch"]
    replica["used"] += blocks_taken(replica, state.phases[row], steps)
    replica["context"] += tokens
    replica["step"] += steps
    totals["generated"] += tokens
    prefix.trim(state, row, 0)


@compiled
def _due(state: State, row: int) -> None:
    replica = state.replicas[row]
    end = replica["begin"] + elapsed(replica, replica["steps"]) if replica["steps"] > 0 else math.inf
    rekey(state.next_event, state.next_winner, row, end)
