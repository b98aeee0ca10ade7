"""What a running request is to its replica: prefilled, decoding, pre-empted or gone; who runs is not decided here."""

from __future__ import annotations

from autoscale.simulate import prefix
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import NONE, Row, State
from autoscale.simulate.state_lists import heap_push, heap_remove, run_remove


@compiled
def next_finished(state: State, row: int) -> int:
    """Takes a request whose last token is out from the decoding ones; NONE when there is no other."""
    replica = state.replicas[row]
    if replica["batch"] == 0 or state.finishes[row, 0] >> 32 > replica["step"]:
        return NONE
    number: int = state.finishes[row, 0] & 0xFFFFFFFF
    state.requests[number]["emitted"] = state.requests[number]["output"]
    _stop_decoding(state, row, number, 0)
    return number


@compiled
def next_prefilled(state: State, row: int) -> int:
    """Hands the step's prefill to the next in line; a request that has its prompt done with it, or NONE."""
    replica = state.replicas[row]
    if replica["chunk"] == 0:
        return NONE
    number: int = replica["prefill"]
    request = state.requests[number]
    took = min(request["left"], replica["chunk"])
    request["left"] -= took
    replica["chunk"] -= took
    replica["prefilling"] -= took
    if request["left"] > 0:
        return NONE
    replica["prefill"] = request["next"]
    request["emitted"] += 1
    return number


@compiled
def pairs(state: State, row: int, chunk: int) -> float:
    """Of tokens of the step's prefill with those before them in their contexts, half of themselves included."""
    number, left, found = state.replicas[row]["prefill"], chunk, 0.0
    while left > 0:
        request = state.requests[number]
        took = min(request["left"], left)
        found += took * (request["prompt"] + request["emitted"] - request["left"] + 0.5 * took)
        left -= took
        number = request["next"]
    return found


@compiled
def decode(state: State, row: int, number: int) -> None:
    """A prefilled request goes on from its newest token."""
    replica, request = state.replicas[row], state.requests[number]
    context = request["prompt"] + request["emitted"]
    finish = replica["step"] + request["output"] - request["emitted"]
    heap_push(state.finishes[row], replica["batch"], (finish << 32) | number)
    state.phases[row, (context - replica["step"]) % state.limits[0]["block_tokens"]] += 1
    replica["batch"] += 1
    replica["context"] += context


@compiled
def preempt(state: State, row: int) -> int:
    """Takes the newest running request out; its tokens so far are prefilled again. The caller queues it."""
    replica = state.replicas[row]
    number: int = replica["run_tail"]
    request = state.requests[number]
    if request["left"] > 0:
        replica["prefilling"] -= request["left"]
        request["left"] = 0
        if replica["prefill"] == number:
            replica["prefill"] = NONE
        release(state, row, number, request["prompt"] + request["emitted"])
        return number
    place = 0
    while state.finishes[row, place] & 0xFFFFFFFF != number:
        place += 1
    request["emitted"] = decoded(replica, request, state.finishes[row, place] >> 32)
    _stop_decoding(state, row, number, place)
    release(state, row, number, request["prompt"] + request["emitted"] - 1)
    return number


@compiled
def release(state: State, row: int, number: int, tokens: int) -> None:
    """A running request leaves, and with it the blocks of so many tokens."""
    replica, request = state.replicas[row], state.requests[number]
    run_remove(replica, state.requests, number)
    replica["used"] -= blocks(state, tokens) - request["hit"]
    if request["entry"] != NONE:
        prefix.unpin(state, row, request["entry"])
    request["entry"], request["hit"] = NONE, 0


@compiled
def decoded(replica: Row, request: Row, finish_step: int) -> int:
    """Tokens that a request has, by the step that gives its last one."""
    count: int = request["output"] - (finish_step - replica["step"])
    return count


@compiled
def blocks(state: State, tokens: int) -> int:
    """That hold so many tokens."""
    size = state.limits[0]["block_tokens"]
    count: int = (tokens + size - 1) // size
    return count


@compiled
def _stop_decoding(state: State, row: int, number: int, place: int) -> None:
    replica, request = state.replicas[row], state.requests[number]
    context = request["prompt"] + request["emitted"]
    heap_remove(state.finishes[row], replica["batch"], place)
    state.phases[row, (context - replica["step"]) % state.limits[0]["block_tokens"]] -= 1
    replica["batch"] -= 1
    replica["context"] -= context
