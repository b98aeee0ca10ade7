"""The prefix cache of a replica: which group's blocks it holds, least recently used first to go; no step is known here.

A replica's blocks are `used` by what runs, `idle` where only the cache holds them, or free. A group has one entry on a
replica, its longest context; requests that run on it pin it.
"""

from __future__ import annotations

from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import NONE, Row, State


@compiled
def find(state: State, row: int, group: int) -> int:
    """The group's entry on this replica."""
    if group < 0:
        return NONE
    entry: int = state.groups[group]["entry"]
    while entry != NONE and state.entries[entry]["replica"] != row:
        entry = state.entries[entry]["sibling"]
    return entry


@compiled
def hit_blocks(state: State, entry: int, request: Row) -> int:
    """Whole blocks of the prompt that the entry has; one token at least remains to be prefilled. An entry that others
    run on is shared as a whole, so that what is pinned is never more than what one of its users needs anyhow."""
    if entry == NONE:
        return 0
    usable = min(request["prefix"], request["prompt"] - 1) // state.limits[0]["block_tokens"]
    if state.entries[entry]["users"] > 0 and usable < state.entries[entry]["blocks"]:
        return 0
    return int(min(state.entries[entry]["blocks"], usable))


@compiled
def pin(state: State, row: int, entry: int, blocks: int) -> None:
    """A request runs on so many blocks of it; where nobody else does, the rest of the entry is given up."""
    found = state.entries[entry]
    if found["users"] == 0:
        _unlink(state, row, entry)
        found["blocks"] = blocks
        state.replicas[row]["used"] += blocks
    found["users"] += 1


@compiled
def unpin(state: State, row: int, entry: int) -> None:
    """A request that ran on it is gone."""
    found = state.entries[entry]
    found["users"] -= 1
    if found["users"] == 0:
        state.replicas[row]["used"] -= found["blocks"]
        _link(state, row, entry)


@compiled
def keep(state: State, row: int, number: int, blocks: int) -> None:
    """A request has ended, its blocks are given back, and so many of them are full ones that its group may want. What
    others still run on stays as it is."""
    group = state.requests[number]["group"]
    if group < 0 or blocks == 0:
        return
    entry = find(state, row, group)
    if entry == NONE:
        _create(state, row, number, blocks)
        return
    found = state.entries[entry]
    if found["users"] == 0:
        _unlink(state, row, entry)
        found["blocks"] = max(found["blocks"], blocks)
        _link(state, row, entry)


@compiled
def trim(state: State, row: int, wanted: int) -> None:
    """Evict until so many blocks more would be free."""
    replica = state.replicas[row]
    while replica["idle"] > 0 and replica["used"] + replica["idle"] + wanted > state.limits[0]["blocks"]:
        forget(state, row, replica["lru_head"])


@compiled
def forget(state: State, row: int, entry: int) -> None:
    """Evict one that nobody uses."""
    _unlink(state, row, entry)
    group = state.groups[state.entries[entry]["group"]]
    if group["entry"] == entry:
        group["entry"] = state.entries[entry]["sibling"]
        return
    before = group["entry"]
    while state.entries[before]["sibling"] != entry:
        before = state.entries[before]["sibling"]
    state.entries[before]["sibling"] = state.entries[entry]["sibling"]


@compiled
def _create(state: State, row: int, number: int, blocks: int) -> None:
    """An entry has the number of the request that made it, which no other entry has."""
    group = state.requests[number]["group"]
    made = state.entries[number]
    made["group"], made["replica"], made["blocks"], made["users"] = group, row, blocks, 0
    made["sibling"] = state.groups[group]["entry"]
    state.groups[group]["entry"] = number
    _link(state, row, number)


@compiled
def _link(state: State, row: int, entry: int) -> None:
    """As the most recently used one."""
    replica, found = state.replicas[row], state.entries[entry]
    found["older"], found["newer"] = replica["lru_tail"], NONE
    if replica["lru_tail"] == NONE:
        replica["lru_head"] = entry
    else:
        state.entries[replica["lru_tail"]]["newer"] = entry
    replica["lru_tail"] = entry
    replica["idle"] += found["blocks"]


@compiled
def _unlink(state: State, row: int, entry: int) -> None:
    replica, found = state.replicas[row], state.entries[entry]
    older, newer = found["older"], found["newer"]
    if older == NONE:
        replica["lru_head"] = newer
    else:
        state.entries[older]["newer"] = newer
    if newer == NONE:
        replica["lru_tail"] = older
    else:
        state.entries[newer]["older"] = older
    replica["idle"] -= found["blocks"]
