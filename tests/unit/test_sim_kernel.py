"""A simulated fleet in cases that are worked out by hand: times of tokens, blocks, the front before it, its size."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.engine_profile import EngineProfile
from autoscale.simulate.fleet import TTFT_EDGES, Requests
from autoscale.simulate.kernel import FrontModel, Kernel
from autoscale.simulate.traffic import constant
from loadtest.slo import PRESETS
from serving.metrics import TTFT_EDGES as FRONT_EDGES

ENGINE = EngineProfile(
    base_seconds=0.01,
    prefill_seconds=1e-4,
    sequence_seconds=1e-3,
    context_seconds=1e-5,
    kv_cache_tokens=1600,
    max_num_seqs=4,
    max_batched_tokens=100,
)
Row = tuple[float, int, int] | tuple[float, int, int, int, int]


def trace(*rows: Row) -> Requests:
    """Second, prompt, output, and group and prefix where there are any."""
    at, prompt, output, group, prefix = zip(*((*row, -1, 0)[:5] for row in rows), strict=True)
    ints = (np.array(column, np.int32) for column in (prompt, output, group, prefix))
    return Requests(np.array(at, np.float64), *ints)


def fleet(*rows: Row, replicas: int = 1, front: FrontModel | None = None, engine: EngineProfile = ENGINE) -> Kernel:
    made = Kernel(engine, trace(*rows), PRESETS["chat"], front)
    made.add(replicas)
    return made


def ttft(made: Kernel, until: float = 1000.0) -> list[float]:
    made.advance(until)
    return [round(float(seconds), 9) for seconds in made.results().ttft_seconds]


def test_a_request_alone_takes_one_step_for_its_prompt_and_one_for_each_further_token() -> None:
    made = fleet((0.5, 80, 4))
    assert ttft(made) == [pytest.approx(0.01 + 80e-4)]
    # Three steps over contexts of 81, 82 and 83 tokens.
    assert made.results().tpot_seconds[0] == pytest.approx(0.011 + 82e-5)
    assert made.sample().slo_good == 1


def test_a_prompt_beyond_the_budget_of_a_step_is_prefilled_in_chunks() -> None:
    assert ttft(fleet((0.0, 250, 1))) == [pytest.approx(3 * 0.01 + 250e-4)]


def test_an_arrival_waits_for_the_step_under_way_and_its_prefill_slows_who_decodes() -> None:
    made = fleet((0.0, 50, 3), (0.020, 40, 1))
    first = 0.01 + 50e-4
    second_step = 0.011 + 51e-5
    mixed = 0.01 + 40e-4 + 1e-3 + 52e-5
    assert ttft(made) == [pytest.approx(first), pytest.approx(first + second_step + mixed - 0.020)]
    assert made.results().tpot_seconds[0] == pytest.approx((second_step + mixed) / 2)


def test_a_fifth_request_waits_until_one_of_four_slots_is_free() -> None:
    engine = ENGINE.model_copy(update={"context_seconds": 0.0, "prefill_seconds": 0.0})
    made = fleet(*[(0.0, 10, 5 + number) for number in range(5)], engine=engine)
    made.advance(0.030)
    assert (made.sample().running, made.sample().engine_waiting) == (4, 1)
    # The first arrival has its step alone; the others share the next, with it decoding; it is done after its fifth.
    assert ttft(made)[4] == pytest.approx(0.01 + 0.011 + 3 * 0.014 + 0.013)


def test_blocks_that_run_out_take_the_newest_request_back_to_the_queue_and_prefill_it_again() -> None:
    engine = ENGINE.model_copy(update={"kv_cache_tokens": 96})
    made = fleet((0.0, 40, 40), (0.0, 40, 40), engine=engine)
    made.advance(1000.0)
    sample = made.sample()
    # Three blocks each, until a 49th token: the second is pre-empted then with 8 of its own, and prefills 48 later.
    assert sample.prefilled_tokens == 40 + 40 + 48
    assert sample.generated_tokens == 80
    assert sample.slo_total == 2


def test_a_known_prefix_leaves_only_the_rest_of_the_prompt_to_prefill() -> None:
    made = fleet((0.0, 64, 1, 7, 0), (1.0, 90, 1, 7, 64), (2.0, 90, 1, 8, 64))
    assert ttft(made) == [pytest.approx(0.0164), pytest.approx(0.01 + 26e-4), pytest.approx(0.019)]
    assert made.sample().offered_prefill_tokens == 64 + 26 + 90


def test_a_prefix_is_evicted_when_its_blocks_are_wanted() -> None:
    engine = ENGINE.model_copy(update={"kv_cache_tokens": 112})
    assert ttft(fleet((0.0, 64, 1, 7, 0), (1.0, 96, 1), (2.0, 90, 1, 7, 64), engine=engine))[2] == pytest.approx(0.019)


@pytest.mark.parametrize(("affinity", "uncached"), [(1, 26), (0, 90), (-1, 90)])
def test_a_group_stays_on_its_replica_unless_that_is_busier_by_more_than_is_allowed(
    affinity: int, uncached: int
) -> None:
    rows = [(0.0, 64, 1, 7, 0), (1.0, 20, 500), (1.5, 90, 1, 7, 64)]
    made = fleet(*rows, replicas=2, front=FrontModel(affinity=affinity))
    made.advance(1000.0)
    assert made.sample().offered_prefill_tokens == 64 + 20 + uncached


def test_a_draining_replica_gets_nothing_new_finishes_and_is_gone() -> None:
    made = fleet((0.0, 50, 100), (0.5, 50, 1), replicas=1)
    made.advance(0.1)
    made.add(1)
    made.drain(1)
    assert (made.sample().ready, made.busy_replicas()) == (1, 1)
    made.add(1)
    made.drain(2)
    assert (made.sample().ready, made.busy_replicas()) == (0, 1)
    made.add(1)
    made.advance(1000.0)
    assert (made.sample().slo_total, made.busy_replicas()) == (2, 1)


def test_a_replica_that_dies_has_its_requests_go_elsewhere_with_their_age_and_their_tokens() -> None:
    made = fleet((0.0, 50, 3), (0.001, 100, 1))
    made.advance(0.016)
    made.fail(1)
    assert (made.busy_replicas(), made.sample().oldest_wait_seconds) == (0, pytest.approx(0.015))
    made.advance(1.0)
    made.add(1)
    found = ttft(made)
    assert found[0] == pytest.approx(0.015)
    assert found[1] > 1.0
    assert made.results().tpot_seconds[0] > 0.4


def test_the_front_holds_in_order_up_to_its_limits_until_the_first_replica_is_there() -> None:
    made = fleet(*[(at, 50, 1) for at in (0.0, 1.0, 2.0, 3.0)], replicas=0, front=FrontModel(5.5, 3))
    made.advance(6.0)
    sample = made.sample()
    assert (sample.waiting, sample.rejected, sample.oldest_wait_seconds) == (2, 2, 5.0)
    assert (sample.queued_prefill_tokens, sample.queued_decode_tokens) == (100, 2)
    made.add(1)
    assert ttft(made)[1:3] == [pytest.approx(5.015), pytest.approx(4.03)]
    assert made.results().rejected.tolist() == [True, False, False, True]


def test_the_front_refuses_what_would_wait_too_long() -> None:
    front = FrontModel(shed_wait_seconds=0.1, prefill_tokens_per_second=1000.0)
    made = fleet((0.0, 60, 1), (0.001, 60, 1), (0.002, 60, 1), front=front)
    made.advance(1.0)
    assert made.results().rejected.tolist() == [False, False, True]
    assert (made.sample().slo_total, made.sample().slo_good) == (3, 2)


def test_every_request_is_done_refused_or_in_flight_at_any_time_and_sampling_moves_nothing() -> None:
    requests = constant("chat", 60.0, 60.0, seed=3)
    front = FrontModel(shed_wait_seconds=1.0)
    sampled, plain = (
        Kernel(ENGINE.model_copy(update={"kv_cache_tokens": 8000}), requests, PRESETS["chat"], front, 5) for _ in "ab"
    )
    for second in range(1, 100):
        for made in (sampled, plain):
            made.advance(float(second))
            if second in (2, 20):
                made.add(6)
            if second in (10, 30):
                made.fail(2)
        seen = sampled.sample()
        held = seen.arrived - seen.slo_total - seen.running - seen.engine_waiting
        assert held == 0 if second >= 2 else held == seen.arrived - seen.rejected
    for one, other in zip(sampled.results(), plain.results(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_deterministic_service_under_poisson_arrivals_waits_as_queueing_theory_says() -> None:
    """M/D/1: one slot, one token, 20 ms each, load r = 0.7. The mean wait is r / (2 (1 - r)) services."""
    engine = ENGINE.model_copy(update={"base_seconds": 0.02, "prefill_seconds": 0.0, "max_num_seqs": 1})
    rng = np.random.default_rng(1)
    count = 400_000
    at = np.cumsum(rng.exponential(0.02 / 0.7, count))
    ones = np.ones(count, np.int32)
    made = Kernel(engine, Requests(at, ones, ones, -ones, 0 * ones), PRESETS["chat"])
    made.add(1)
    made.advance(float(at[-1]) + 10)
    wait = made.results().ttft_seconds.mean() / 0.02 - 1
    assert wait == pytest.approx(0.7 / (2 * 0.3), rel=0.03)


def test_the_histogram_has_the_edges_of_the_fronts() -> None:
    assert TTFT_EDGES == FRONT_EDGES


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([(1.0, 5, 5), (0.0, 5, 5)], "at_seconds"),
        ([(0.0, 5, 0)], "output_tokens"),
        ([(0.0, 1600, 1)], "kv_cache_tokens"),
    ],
)
def test_a_trace_that_cannot_be_is_refused_by_name(rows: list[Row], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        fleet(*rows)
