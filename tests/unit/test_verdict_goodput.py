"""The goodput and its interval; the oracle is a queue whose knee is known by formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.plan import SearchPlan
from loadtest.results import Goodput, ProbeResult
from loadtest.verdict.goodput import Blocks, blocks, estimate
from loadtest.verdict.levels import falling
from loadtest.verdict.probe_result import Offered
from tests.unit.test_verdict_search import probe
from tests.unit.verdict_world import CHAT, QUANTILES, Queue, answered, searched

COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=12)


def even(share: float, number: int) -> dict[int, Blocks]:
    return {number: Blocks(np.full(10, share * 1000), np.full(10, 1000.0))}


@given(COUNTS)
def test_the_fit_falls_keeps_the_total_and_leaves_what_already_fell(counts: list[tuple[int, int]]) -> None:
    share, weight = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    fitted = falling(share, weight)
    assert np.all(np.diff(fitted) <= 1e-9)
    assert np.sum(fitted * weight) == pytest.approx(np.sum(share * weight))
    assert falling(fitted, weight) == pytest.approx(fitted)
    assert falling(np.sort(share)[::-1], weight) == pytest.approx(np.sort(share)[::-1])


def test_two_violators_are_pooled_by_their_weights() -> None:
    fitted = falling(np.array([1.0, 0.8, 0.9, 0.1]), np.array([1.0, 1.0, 3.0, 1.0]))
    assert fitted == pytest.approx([1.0, 0.875, 0.875, 0.1])


def test_the_value_is_interpolated_between_the_two_rates_and_the_interval_spans_both() -> None:
    probes = [probe(8.0, 1.0, 0), probe(10.0, 0.9, 1)]
    goodput = estimate(probes, even(1.0, 0) | even(0.9, 1), 0.95, 0)
    assert goodput.rate.value == pytest.approx(9.0)
    assert goodput.rate.low <= 8.0
    assert goodput.rate.high >= 10.0
    assert (goodput.passed_rate, goodput.failed_rate, goodput.probes) == (8.0, 10.0, 2)


def test_fewer_requests_give_a_wider_interval() -> None:
    def width(count: int) -> float:
        counts = {
            number: Blocks(np.full(10, share * count), np.full(10, float(count)))
            for number, share in ((0, 1.0), (1, 0.9))
        }
        rate = estimate([probe(8.0, 1.0, 0), probe(8.2, 0.9, 1)], counts, 0.95, 0).rate
        return rate.high - rate.low

    assert width(10) > 2 * width(1000)


def test_without_a_failing_probe_the_goodput_is_a_lower_bound() -> None:
    goodput = estimate([probe(8.0, 1.0)], even(1.0, 0), 0.95, 0)
    assert (goodput.rate.value, goodput.rate.high, goodput.failed_rate) == (8.0, math.inf, None)


def test_where_nothing_passes_it_is_zero_up_to_the_lowest_rate() -> None:
    goodput = estimate([probe(8.0, 0.5)], even(0.5, 0), 0.95, 0)
    assert (goodput.rate.value, goodput.rate.low, goodput.failed_rate) == (0.0, 0.0, 8.0)
    assert goodput.rate.high >= 8.0


def test_the_same_probes_give_the_same_interval() -> None:
    probes, counts = [probe(8.0, 0.97, 0), probe(10.0, 0.9, 1)], even(0.97, 0) | even(0.9, 1)
    assert estimate(probes, counts, 0.95, 0) == estimate(probes, counts, 0.95, 0)


def test_blocks_hold_every_judged_request_once() -> None:
    found = answered(30, first=np.arange(30) + np.where(np.arange(30) < 10, 9.0, 0.1))
    counts = blocks(found, Offered(0, 0, 1.0, 5.0, 30.0), [CHAT])
    assert (counts.total.sum(), counts.good.sum(), len(counts.total)) == (25, 20, 8)
    assert len(blocks(answered(200), Offered(0, 0, 1.0, 0.0, 200.0), [CHAT]).total) == 20


def search_of(queue: Queue, seed: int, start_rate: float) -> tuple[list[ProbeResult], list[Goodput]]:
    rng = np.random.default_rng(seed)
    return searched(lambda rate, number: queue.run(rng, rate, number, 60.0), start_rate, SearchPlan())


@pytest.mark.parametrize("start_rate", [4.0, 200.0])
def test_the_knee_of_a_queue_is_found_within_a_tenth_in_15_probes(start_rate: float) -> None:
    queue, errors, covered = Queue(16, 0.4), [], []
    truths = [queue.goodput(quantile) for quantile in QUANTILES]
    for seed in range(50):
        probes, goodputs = search_of(queue, seed, start_rate)
        assert len(probes) <= 15
        errors.append([found.rate.value / truth - 1 for found, truth in zip(goodputs, truths, strict=True)])
        covered.append(
            [found.rate.low <= truth <= found.rate.high for found, truth in zip(goodputs, truths, strict=True)]
        )
    within, held = np.mean(np.abs(errors) <= 0.1, axis=0), np.mean(covered, axis=0)
    assert within[1] >= 0.95, (within, held)
    assert held[1] >= 0.9, (within, held)
    assert np.all(within >= 0.9), (within, held)
    assert np.abs(np.median(errors, axis=0)).max() < 0.03


def test_a_server_that_takes_a_fixed_time_is_found_below_its_capacity() -> None:
    queue = Queue(1, 0.05, random=False)
    truth = queue.capacity * _load_of_fixed_service(0.95, 9)
    errors = [search_of(queue, seed, 5.0)[1][1].rate.value / truth - 1 for seed in range(20)]
    assert np.mean(np.abs(errors) <= 0.1) >= 0.9, errors


def _load_of_fixed_service(quantile: float, waits: int) -> float:
    """Load at which `quantile` of the requests wait at most `waits` service times (M/D/1, Erlang 1909)."""

    def share(load: float) -> float:
        terms = (
            (-load * (waits - k)) ** k / math.factorial(k) * math.exp(load * (waits - k)) for k in range(waits + 1)
        )
        return (1 - load) * sum(terms)

    loads = np.linspace(0.5, 0.99, 491)
    return float(max(load for load in loads if share(load) >= quantile))
