"""Lengths, think times and turn counts against their analytic distributions; bounds are five standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.plan import Lengths, Turns
from loadtest.traffic.lengths import lengths, mean, mean_turns, thinks, turn_counts

COUNT = 100_000
SIGMAS = 5.0


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_lengths_are_lognormal_whole_tokens() -> None:
    drawn = lengths(Lengths(median=757, sigma=0.99), COUNT, rng())
    logs = np.log(drawn)
    assert drawn.dtype == np.int64
    assert abs(logs.mean() - math.log(757)) < SIGMAS * 0.99 / math.sqrt(COUNT)
    assert abs(logs.std() - 0.99) < SIGMAS * 0.99 / math.sqrt(2 * COUNT)


def test_lengths_beyond_an_end_take_the_end() -> None:
    drawn = lengths(Lengths(median=100, sigma=1, low=50, high=200), COUNT, rng())
    beyond = 0.5 - 0.5 * math.erf(math.log(2) / math.sqrt(2))
    error = SIGMAS * math.sqrt(0.25 / COUNT) + 0.005
    assert (drawn.min(), drawn.max()) == (50, 200)
    assert abs(np.mean(drawn == 50) - beyond) < error
    assert abs(np.mean(drawn == 200) - beyond) < error


def test_without_a_spread_every_length_is_the_median() -> None:
    assert set(lengths(Lengths(median=16), 1_000, rng()).tolist()) == {16}


@pytest.mark.parametrize(
    "of",
    [
        Lengths(median=757, sigma=0.99, high=4142),
        Lengths(median=300, sigma=1.5, low=100, high=900),
        Lengths(median=300, sigma=0.5),
        Lengths(median=300, high=200),
    ],
)
def test_the_mean_is_that_of_what_is_drawn(of: Lengths) -> None:
    drawn = lengths(of, COUNT, rng())
    assert abs(drawn.mean() - mean(of)) <= SIGMAS * drawn.std() / math.sqrt(COUNT)


def test_ends_the_wrong_way_round_are_named() -> None:
    with pytest.raises(ValueError, match="low 10 is above high 5"):
        lengths(Lengths(median=7, low=10, high=5), 1, rng())


def test_think_times_are_lognormal_around_their_median() -> None:
    logs = np.log(thinks(Turns(think_median_seconds=4, think_sigma=0.5), COUNT, rng()))
    assert abs(logs.mean() - math.log(4)) < SIGMAS * 0.5 / math.sqrt(COUNT)
    assert abs(logs.std() - 0.5) < SIGMAS * 0.5 / math.sqrt(2 * COUNT)


def test_a_think_median_of_zero_is_no_thinking() -> None:
    assert not thinks(Turns(think_median_seconds=0), 100, rng()).any()


@pytest.mark.parametrize(
    "turns", [Turns(), Turns(mean=4), Turns(mean=4, high=5), Turns(mean=40, low=25, high=57), Turns(mean=3, low=3)]
)
def test_the_mean_of_turns_is_that_of_the_cut_geometric(turns: Turns) -> None:
    drawn = turn_counts(turns, COUNT, rng())
    assert drawn.min() == turns.low
    assert drawn.max() <= turns.high
    assert abs(drawn.mean() - mean_turns(turns)) <= SIGMAS * drawn.std() / math.sqrt(COUNT)


def test_every_turn_is_the_last_with_one_chance() -> None:
    drawn = turn_counts(Turns(mean=4), COUNT, rng())
    for turn in (1, 2, 3, 5):
        reached = np.count_nonzero(drawn >= turn)
        assert abs(np.count_nonzero(drawn == turn) / reached - 0.25) < SIGMAS * math.sqrt(0.25 * 0.75 / reached)


@pytest.mark.parametrize("turns", [Turns(mean=2, low=3), Turns(mean=9, low=8, high=7)])
def test_turns_that_cannot_be_are_named(turns: Turns) -> None:
    with pytest.raises(ValueError, match="must not be above mean"):
        turn_counts(turns, 1, rng())
