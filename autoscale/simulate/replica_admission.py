"""Who runs in the next step: admission first come first served, pre-emption of the newest when blocks run out.

It does not know how long a step takes.
"""

from __future__ import annotations

from autoscale.simulate import prefix
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.replica_jump import blocks_taken
from autoscale.simulate.replica_requests import blocks, preempt
from autoscale.simulate.state import NONE, State
from autoscale.simulate.state_lists import run_append, wait_pop, wait_prepend


@compiled
def make_room(state: State, row: int) -> bool:
    """Pre-empts until the decoding ones can have the blocks of the next step."""
    replica, preempted = state.replicas[row], False
    while replica["used"] + blocks_taken(replica, state.phases[row], 1) > state.limits[0]["blocks"]:
        wait_prepend(replica, state.requests, preempt(state, row))
        preempted = True
    return preempted


@compiled
def admit(state: State, row: int, budget: int) -> None:
    """From the queue's head on, while slots, blocks and the step's budget of tokens last."""
    replica, limit = state.replicas[row], state.limits[0]
    growth = blocks_taken(replica, state.phases[row], 1)
    prefix.trim(state, row, growth)
    while (
        replica["wait_head"] != NONE and replica["running"] < limit["max_num_seqs"] and replica["prefilling"] < budget
    ):
        if not _start(state, row, replica["wait_head"], growth):
            break


@compiled
def _start(state: State, row: int, number: int, growth: int) -> bool:
    """The queue's head runs from now on, with blocks for all its tokens so far; False: they do not fit."""
    replica, request = state.replicas[row], state.requests[number]
    tokens = request["prompt"] + request["emitted"]
    entry = prefix.find(state, row, request["group"])
    hit = prefix.hit_blocks(state, entry, request)
    own = blocks(state, tokens) - hit
    unused = hit if hit > 0 and state.entries[entry]["users"] == 0 else 0
    if replica["used"] + own + unused + growth > state.limits[0]["blocks"]:
        return False
    wait_pop(replica, state.requests)
    run_append(replica, state.requests, number)
    if hit > 0:
        prefix.pin(state, row, entry, hit)
        request["entry"], request["hit"] = entry, hit
    request["left"] = tokens - hit * state.limits[0]["block_tokens"]
    replica["used"] += own
    replica["prefilling"] += request["left"]
    if replica["prefill"] == NONE:
        replica["prefill"] = number
    prefix.trim(state, row, growth)
    return True
