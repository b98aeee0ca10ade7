"""Heaps, tournaments and lists over the rows of a state, compiled; what they order is not known here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autoscale.simulate.fleet import Floats
from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import NONE, Records, Row


@compiled
def rekey(keys: Floats, winners: NDArray[np.int64], leaf: int, key: float) -> None:
    """Give a leaf of a tournament another key; the least one wins, of equals the lower number."""
    keys[leaf] = key
    node = (leaf + len(keys)) >> 1
    while node > 0:
        left, right = winners[2 * node], winners[2 * node + 1]
        winners[node] = left if keys[left] <= keys[right] else right
        node >>= 1


@compiled
def heap_push(heap: NDArray[np.int64], size: int, item: int) -> None:
    """Onto a heap that has `size` items now."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent] <= item:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = item


@compiled
def heap_remove(heap: NDArray[np.int64], size: int, place: int) -> None:
    """Take the item at `place` out of a heap of `size` items."""
    last = heap[size - 1]
    while place > 0 and heap[(place - 1) >> 1] > last:
        heap[place] = heap[(place - 1) >> 1]
        place = (place - 1) >> 1
    child = 2 * place + 1
    while child < size - 1:
        if child + 1 < size - 1 and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= last:
            break
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    heap[place] = last


@compiled
def run_append(replica: Row, requests: Records, number: int) -> None:
    """To the end of the running ones, which stand in the order of their admission."""
    requests[number]["prev"] = replica["run_tail"]
    requests[number]["next"] = NONE
    if replica["run_tail"] == NONE:
        replica["run_head"] = number
    else:
        requests[replica["run_tail"]]["next"] = number
    replica["run_tail"] = number
    replica["running"] += 1


@compiled
def run_remove(replica: Row, requests: Records, number: int) -> None:
    """Out of the running ones."""
    before, after = requests[number]["prev"], requests[number]["next"]
    if before == NONE:
        replica["run_head"] = after
    else:
        requests[before]["next"] = after
    if after == NONE:
        replica["run_tail"] = before
    else:
        requests[after]["prev"] = before
    replica["running"] -= 1


@compiled
def wait_append(replica: Row, requests: Records, number: int) -> None:
    """To the end of the replica's queue."""
    requests[number]["next"] = NONE
    if replica["wait_head"] == NONE:
        replica["wait_head"] = number
    else:
        requests[replica["wait_tail"]]["next"] = number
    replica["wait_tail"] = number
    replica["waiting_tokens"] += requests[number]["prompt"] + requests[number]["emitted"]


@compiled
def wait_prepend(replica: Row, requests: Records, number: int) -> None:
    """To the head of the replica's queue: it was pre-empted."""
    requests[number]["next"] = replica["wait_head"]
    if replica["wait_head"] == NONE:
        replica["wait_tail"] = number
    replica["wait_head"] = number
    replica["waiting_tokens"] += requests[number]["prompt"] + requests[number]["emitted"]


@compiled
def wait_pop(replica: Row, requests: Records) -> int:
    """The head of the replica's queue, which is not empty."""
    number: int = replica["wait_head"]
    replica["wait_head"] = requests[number]["next"]
    if replica["wait_head"] == NONE:
        replica["wait_tail"] = NONE
    replica["waiting_tokens"] -= requests[number]["prompt"] + requests[number]["emitted"]
    return number
