"""Everything that a simulated fleet remembers, as arrays that compiled code works on; nothing is decided here.

A request, a replica and a cached prefix are rows, told apart by number; -1 is none. Tokens, blocks, seconds.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoscale.simulate.fleet import TTFT_EDGES, Floats, Requests

Row: TypeAlias = Any
"""One record of the arrays below; compiled code has it by reference."""
Records: TypeAlias = NDArray[np.void]

NONE = -1
PENDING, IN_FLIGHT, DONE, REJECTED = 0, 1, 2, 3
GONE, READY, DRAINING = 0, 1, 2


def _record(floats: str, ints: str, width: str = "i8") -> np.dtype[np.void]:
    return np.dtype([(name, "f8") for name in floats.split()] + [(name, width) for name in ints.split()])


REQUEST = _record(
    "at first last held_since",
    # `offered`: prompt tokens less what the front takes for cached. `emitted` is current unless the request decodes.
    # `left`: to prefill. `hit`, `entry`: blocks used of which cached prefix. `next`, `prev`: in the list it stands in.
    "prompt output group prefix outcome replica offered emitted left hit entry next prev",
    "i4",
)
REPLICA = _record(
    # The jump under way: `steps` of the scheduler from `begin`, the first of `first_step` seconds, each later one
    # longer by `growth`; in the first, `chunk` prompt tokens are prefilled in `prefill_part` of its seconds. `steps` 0:
    # idle.
    "begin first_step growth prefill_part",
    "steps chunk state serial step batch context running in_flight used idle prefilling waiting_tokens "
    # Lists of requests and cached prefixes: `prefill` is the first of the running that is not prefilled yet.
    "run_head run_tail prefill wait_head wait_tail lru_head lru_tail",
)
ENTRY = _record("", "group replica blocks users older newer sibling")
GROUP = _record("", "entry home home_serial")
TOTALS = _record(
    "busy_seconds prefill_busy_seconds",
    "arrived held held_head held_tail oldest ready busy serials rejected slo_good slo_total tpot_over "
    "offered_prefill offered_decode queued_prefill queued_decode waiting prefilled generated",
)
LIMITS = _record(
    "base prefill attention sequence context delay ttft tpot hold shed_wait shed_rate",
    "blocks block_tokens max_num_seqs max_batched_tokens max_held affinity",
)


class State(NamedTuple):
    """`next_event` and `load` are tournaments over the replicas: keys, and who wins among those below each node."""

    requests: Records
    replicas: Records
    finishes: NDArray[np.int64]
    """Per replica a heap of its decoding requests: step of the last token in the upper half, number in the lower."""
    phases: NDArray[np.int64]
    """Per replica, decoding requests by (context - step) modulo the block size: who takes a block in which step."""
    next_event: Floats
    next_winner: NDArray[np.int64]
    load: Floats
    load_winner: NDArray[np.int64]
    entries: Records
    groups: Records
    totals: Records
    limits: Records
    ttft_counts: NDArray[np.int64]
    ttft_edges: Floats


def fresh(requests: Requests, limits: Records) -> State:
    """No replica, nothing arrived."""
    limit = limits[0]
    has_groups = len(requests.group) > 0 and int(requests.group.max()) >= 0
    empty = State(
        requests=_requests(requests),
        replicas=np.zeros(0, REPLICA),
        finishes=np.zeros((0, int(limit["max_num_seqs"])), np.int64),
        phases=np.zeros((0, int(limit["block_tokens"])), np.int64),
        next_event=np.zeros(0),
        next_winner=np.zeros(0, np.int64),
        load=np.zeros(0),
        load_winner=np.zeros(0, np.int64),
        entries=np.zeros(len(requests.group) if has_groups else 0, ENTRY),
        groups=np.zeros(int(requests.group.max()) + 1 if has_groups else 0, GROUP),
        totals=np.zeros(1, TOTALS),
        limits=limits,
        ttft_counts=np.zeros(len(TTFT_EDGES) + 1, np.int64),
        ttft_edges=np.array(TTFT_EDGES),
    )
    for name in ("entry", "home"):
        empty.groups[name] = NONE
    for name in ("held_head", "held_tail"):
        empty.totals[name] = NONE
    return grown(empty, 1)


def grown(state: State, rows: int) -> State:
    """The same fleet with room for so many replicas, rounded up to a power of two."""
    before = len(state.replicas)
    size = 1 << max(0, rows - 1).bit_length()
    load, next_event = (
        np.concatenate([keys, np.full(size - before, np.inf)]) for keys in (state.load, state.next_event)
    )
    return state._replace(
        replicas=_longer(state.replicas, size),
        finishes=_longer(state.finishes, size),
        phases=_longer(state.phases, size),
        next_event=next_event,
        next_winner=_winners(next_event),
        load=load,
        load_winner=_winners(load),
    )


def _requests(requests: Requests) -> Records:
    rows = np.zeros(len(requests.at_seconds), REQUEST)
    rows["at"], rows["prompt"], rows["output"] = requests[:3]
    rows["group"], rows["prefix"] = requests.group, requests.prefix_tokens
    rows["first"] = rows["last"] = rows["held_since"] = np.nan
    for name in ("replica", "entry", "next", "prev"):
        rows[name] = NONE
    return rows


def _longer(rows: NDArray[Any], size: int) -> NDArray[Any]:
    longer = np.zeros((size, *rows.shape[1:]), rows.dtype)
    longer[: len(rows)] = rows
    return longer


def _winners(keys: Floats) -> NDArray[np.int64]:
    size = len(keys)
    winners = np.zeros(2 * size, np.int64)
    winners[size:] = np.arange(size)
    for node in range(size - 1, 0, -1):
        left, right = winners[2 * node], winners[2 * node + 1]
        winners[node] = left if keys[left] <= keys[right] else right
    return winners
