"""A backlog is told from a queue that is only busy, over many simulated paths, asked every half second."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.verdict.backlog import grows, slope
from tests.unit.verdict_world import Queue, fires

SECONDS = np.arange(0.5, 30.01, 0.5)


def fired(queue: Queue, load: float, paths: int) -> np.ndarray:
    """When each path of a 30 s probe with 5 s of warm-up was said to grow; inf: never."""
    when = []
    for seed in range(paths):
        arrivals, _, ends = queue.serve(np.random.default_rng(seed), load * queue.capacity, 30.0)
        when.append(fires(arrivals, ends, 30.0, 5.0) or np.inf)
    return np.array(when)


@pytest.mark.parametrize("queue", [Queue(1, 0.02), Queue(1, 0.05), Queue(4, 0.2), Queue(16, 2.0, random=False)])
def test_a_queue_at_nine_tenths_of_its_capacity_does_not_grow(queue: Queue) -> None:
    assert np.mean(np.isfinite(fired(queue, 0.9, 200))) <= 0.01


@pytest.mark.parametrize("queue", [Queue(1, 0.02), Queue(8, 0.2), Queue(1, 0.05)])
def test_a_queue_at_one_and_a_half_of_it_grows_within_half_a_probe(queue: Queue) -> None:
    assert np.mean(fired(queue, 1.5, 100) <= 17.5) >= 0.9


def test_a_slow_server_is_told_by_the_end_of_the_probe() -> None:
    assert np.mean(np.isfinite(fired(Queue(16, 2.0, random=False), 1.5, 100))) >= 0.9


def test_a_server_that_fills_up_and_levels_off_does_not_grow() -> None:
    filling = 100 * (1 - np.exp(-SECONDS / 3))
    assert not any(grows(SECONDS[:k], filling[:k], 6.0) for k in range(1, len(SECONDS) + 1))


def test_a_stall_that_passes_is_no_backlog() -> None:
    level = 10 + np.random.default_rng(0).integers(-2, 3, len(SECONDS)).astype(float)
    level[40:46] += [10, 20, 30, 40, 25, 10]
    assert not any(grows(SECONDS[:k], level[:k]) for k in range(1, len(SECONDS) + 1))


def test_a_steady_rise_grows_and_a_small_one_is_not_material() -> None:
    assert grows(SECONDS, SECONDS * 5)
    assert not grows(SECONDS, SECONDS * 0.3)


def test_what_lies_before_the_settled_time_says_nothing() -> None:
    ramp = np.minimum(SECONDS * 10, 100)
    assert not grows(SECONDS, ramp, 10.0)


def test_no_samples_do_not_grow() -> None:
    assert not grows(np.array([]), np.array([]))


def test_one_wild_sample_does_not_tilt_the_slope() -> None:
    values = SECONDS * 2
    values[30] = 1e6
    assert slope(SECONDS, values) == pytest.approx(2.0)
