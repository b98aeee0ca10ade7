"""Many steps of one replica at once, in closed form: when they end, what blocks they take; it starts and ends none."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autoscale.simulate.kernel_jit import compiled
from autoscale.simulate.state import Row

Phases = NDArray[np.int64]


@compiled
def elapsed(replica: Row, steps: int) -> float:
    """Seconds that the next so many steps of the jump take together."""
    seconds: float = steps * replica["first_step"] + replica["growth"] * (steps * (steps - 1) // 2)
    return seconds


@compiled
def steps_done(replica: Row, now: float) -> int:
    """Steps of the jump that have ended by `now`."""
    steps: int = replica["steps"]
    if steps == 0:
        return 0
    done = min(steps, max(0, _estimate(replica, now - replica["begin"])))
    while done > 0 and replica["begin"] + elapsed(replica, done) > now:
        done -= 1
    while done < steps and replica["begin"] + elapsed(replica, done + 1) <= now:
        done += 1
    return done


@compiled
def _estimate(replica: Row, passed: float) -> int:
    """The root of `elapsed`, off by one at most."""
    growth = replica["growth"]
    if growth * replica["steps"] < 1e-9 * replica["first_step"]:
        return int(passed / replica["first_step"])
    straight = replica["first_step"] - growth / 2
    return int((math.sqrt(straight * straight + 2 * growth * max(0.0, passed)) - straight) / growth)


@compiled
def blocks_taken(replica: Row, phases: Phases, steps: int) -> int:
    """By the decoding requests, over so many steps from now."""
    size = len(phases)
    cycles = steps // size
    taken: int = cycles * replica["batch"]
    for step in range(steps - cycles * size):
        taken += phases[(1 - replica["step"] - step) % size]
    return taken


@compiled
def steps_that_fit(replica: Row, phases: Phases, free: int, steps: int) -> int:
    """How many of these steps can be taken before the decoding requests need more than the free blocks."""
    size, batch = len(phases), replica["batch"]
    if batch * (steps // size + 1) <= free:
        return steps
    cycles = free // batch
    left = free - cycles * batch
    fitting = cycles * size
    for step in range(size):
        left -= phases[(1 - replica["step"] - step) % size]
        if left < 0:
            break
        fitting += 1
    return fitting if fitting < steps else steps
