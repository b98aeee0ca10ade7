"""A against B: pairs by block, session and turn, and intervals that hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.records import Rows, joined
from loadtest.results import Goodput, Interval
from loadtest.slo import Fault
from loadtest.verdict.paired import goodput_ratio, paired
from loadtest.verdict.probe_result import Offered
from tests.unit.verdict_world import CHAT, answered


def side(target: int, ttft: float, seed: int = 0, blocks: int = 6, swing: float = 0.2) -> Rows:
    """100 requests a block; the machine's speed swings from block to block, alike for A and B, each also by chance."""
    parts = []
    for block in range(blocks):
        machine = np.random.default_rng((seed, block)).normal(0, swing)
        chance = np.random.default_rng((seed, block, target + 1)).normal(0, 0.1, 100)
        part = answered(100, probe=2 * block + target, target=target)
        part["first"] = part["scheduled"] + ttft * np.exp(machine + chance)
        part["last"] = part["ended"] = part["first"] + 0.1
        parts.append(part)
    return joined(parts)


def offered(blocks: int = 6) -> list[tuple[Offered, Offered]]:
    both = [[Offered(2 * block + target, target, 4.0, 0.0, 100.0) for target in (0, 1)] for block in range(blocks)]
    return [(a, b) for a, b in both]


def test_the_ratio_is_b_over_a_and_a_machine_that_swings_for_both_does_not_blur_it() -> None:
    held = 0
    for seed in range(20):
        ratio = paired(side(0, 0.1, seed), side(1, 0.12, seed), offered(), [CHAT]).ttft_p50_ratio
        held += ratio.low <= 1.2 <= ratio.high
        assert ratio.high - ratio.low < 0.15
    assert held >= 18


def test_nothing_differs_from_itself() -> None:
    a, b = side(0, 0.1), side(0, 0.1)
    b["target"], b["probe"] = 1, b["probe"] + 1
    found = paired(a, b, offered(), [CHAT])
    assert (found.pairs, found.rate) == (600, 4.0)
    for ratio in (found.ttft_p50_ratio, found.ttft_p99_ratio, found.tpot_p50_ratio):
        assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)
    assert found.attainment_difference == Interval(0.0, 0.0, 0.0)


def test_sheds_of_b_lower_its_attainment_and_are_in_no_latency() -> None:
    a, b = side(0, 0.1), side(1, 0.1)
    shed = b["session"] % 4 == 0
    b["fault"][shed], b["first"][shed] = Fault.SHED, np.nan
    found = paired(a, b, offered(), [CHAT])
    assert found.attainment_difference.value == pytest.approx(-0.25)
    assert found.attainment_difference.high < 0
    assert found.ttft_p50_ratio.value == pytest.approx(1.0, abs=0.05)


def test_a_request_that_only_one_side_holds_or_that_was_cut_is_no_pair() -> None:
    a, b = side(0, 0.1), side(1, 0.1)
    b["fault"][:10] = Fault.CUT
    assert paired(a[5:], b, offered(), [CHAT]).pairs == 590
    assert paired(a[:50], b[50:], offered(), [CHAT]).pairs == 0


def test_turns_of_one_session_are_pairs_of_their_own() -> None:
    a, b = answered(4, turn=[0, 1, 0, 1], session=[0, 0, 1, 1]), answered(4, turn=[0, 1, 0, 1], session=[0, 0, 1, 1])
    b["target"], b["probe"] = 1, 1
    assert paired(a, b, offered(1), [CHAT]).pairs == 4


def test_one_block_gives_a_value_without_an_interval_and_none_gives_nothing() -> None:
    ratio = paired(side(0, 0.1), side(1, 0.2), offered(1), [CHAT]).ttft_p50_ratio
    assert ratio.value == pytest.approx(2.0, rel=0.1)
    assert math.isnan(ratio.low)
    assert math.isnan(paired(side(0, 0.1), side(1, 0.2), [], [CHAT]).ttft_p50_ratio.value)


def test_the_ratio_of_two_goodputs_is_as_wide_as_both_allow() -> None:
    a, b = (Goodput(0, 0.95, Interval(value, value - 1, value + 1), 0.0, 1.0, 9) for value in (4.0, 8.0))
    assert goodput_ratio(a, b) == Interval(2.0, 7 / 5, 3.0)
    assert goodput_ratio(Goodput(0, 0.95, a.rate, 0.0, None, 9, withheld="the client"), b) is None
