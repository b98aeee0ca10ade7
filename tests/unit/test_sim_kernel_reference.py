"""The kernel's closed-form jumps against every step by itself: the same times for the same traffic."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.engine_profile import EngineProfile
from autoscale.simulate.fleet import Ints, Requests
from autoscale.simulate.kernel import FrontModel, Kernel
from loadtest.slo import PRESETS
from tests.unit.sim_kernel_front import Act, SlowFleet

END = 10_000.0


def traffic(rng: np.random.Generator, count: int, longest: int, groups: int) -> Requests:
    def ints(low: int, high: int) -> Ints:
        return rng.integers(low, high + 1, count).astype(np.int32)

    prompt = ints(1, longest // 2)
    at = np.cumsum(rng.exponential(rng.choice([0.003, 0.03, 0.3]), count))
    return Requests(at, prompt, ints(1, longest - longest // 2), ints(-1, groups - 1), ints(0, longest))


def profile(rng: np.random.Generator) -> EngineProfile:
    """Small enough that slots, blocks and the budget all bind somewhere."""
    block, slots = int(rng.choice([1, 4, 16])), int(rng.integers(1, 9))
    return EngineProfile(
        base_seconds=float(rng.uniform(0.001, 0.01)),
        prefill_seconds=float(rng.uniform(0, 0.0005)),
        attention_seconds=float(rng.choice([0.0, rng.uniform(0, 0.0001)])),
        sequence_seconds=float(rng.choice([0.0, rng.uniform(0, 0.001)])),
        context_seconds=float(rng.choice([0.0, rng.uniform(0, 0.00002)])),
        request_seconds=float(rng.choice([0.0, 0.02])),
        kv_cache_tokens=block * int(rng.integers(80 // block, 400 // block)),
        max_num_seqs=slots,
        max_batched_tokens=int(rng.choice([slots, slots + 7, 64, 4096])),
        block_tokens=block,
    )


def front(rng: np.random.Generator) -> FrontModel:
    return FrontModel(
        hold_seconds=float(rng.choice([0.05, 1.0, 120.0])),
        max_queue=int(rng.choice([0, 3, 1000])),
        shed_wait_seconds=float(rng.choice([math.inf, 0.02])),
        prefill_tokens_per_second=float(rng.uniform(1000, 5000)),
        affinity=int(rng.choice([-1, 0, 2, 100])),
    )


def acts(rng: np.random.Generator, until: float) -> list[Act]:
    """The last one brings a replica, so that all ends."""
    count = int(rng.integers(0, 8))
    times = np.sort(rng.uniform(0, until, count))
    names = rng.choice(["add", "drain", "fail"], count)
    begin = Act(0.0, "add", int(rng.integers(0, 4)))
    middle = [Act(float(at), str(name), int(rng.integers(1, 3))) for at, name in zip(times, names, strict=True)]
    return [begin, *middle, Act(until, "add", 1)]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_jumps_give_every_request_the_times_that_single_steps_give_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    engine, model = profile(rng), front(rng)
    requests = traffic(rng, int(rng.integers(1, 60)), 79, groups=4)
    fast = Kernel(engine, requests, PRESETS["chat"], model, seed)
    slow = SlowFleet(engine, requests, model, seed)
    for act in acts(rng, float(requests.at_seconds[-1]) * 1.5):
        for fleet in (fast, slow):
            fleet.advance(act.at)
            getattr(fleet, act.name)(act.count)
        seen = fast.sample()
        assert seen.running + seen.engine_waiting == sum(one.in_flight for one in slow.rows if one)
        assert fast.busy_replicas() == sum(one is not None for one in slow.rows)
    for fleet in (fast, slow):
        fleet.advance(END)
    for found, true in zip(fast.results(), slow.results(), strict=True):
        np.testing.assert_allclose(found, true, rtol=0, atol=1e-9)
