"""The feasibility floor, and what a run was paid for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.results import Series
from loadtest.slo import PRESETS
from loadtest.verdict.cost import cost, with_gpus
from loadtest.verdict.floor import fit, infeasible_share
from loadtest.verdict.goodput import estimate
from tests.unit.test_verdict_goodput import even
from tests.unit.test_verdict_search import probe

LENGTHS = np.array([100, 1000, 2000, 4000])


def test_a_line_is_found_despite_one_disturbed_point() -> None:
    points = [(tokens, 0.01 + 0.0001 * tokens) for tokens in (100, 500, 1000, 2000, 4000)]
    assert fit(points) == (pytest.approx(0.01), pytest.approx(0.0001))
    assert fit([*points[:2], (1000, 9.0), *points[3:]])[1] == pytest.approx(0.0001, rel=0.2)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 100)), min_size=1, max_size=12))
def test_neither_the_base_nor_the_slope_is_ever_negative(points: list[tuple[int, float]]) -> None:
    base, per_token = fit(points)
    assert base >= 0
    assert per_token >= 0


def test_prompts_of_one_length_give_a_base_alone() -> None:
    assert fit([(100, 0.2), (100, 0.4), (100, 0.3)]) == (pytest.approx(0.3), 0.0)


def test_no_points_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit([])


def test_the_share_of_prompts_that_are_too_long_is_told_by_slo() -> None:
    assert infeasible_share(LENGTHS, PRESETS["chat"], 0.0, 0.0002, 0.01) == 0.25
    assert infeasible_share(LENGTHS, PRESETS["code"], 0.0, 0.0001, 0.01) == 0.5
    assert infeasible_share(LENGTHS, PRESETS["batch"], 9.0, 9.0, 9.0) == 0.0
    assert infeasible_share(np.array([], dtype=np.int64), PRESETS["chat"], 9.0, 9.0, 0.0) == 0.0


def test_a_tpot_over_its_limit_rules_out_every_request_and_an_unknown_one_none() -> None:
    assert infeasible_share(LENGTHS, PRESETS["chat"], 0.0, 0.0, 0.051) == 1.0
    assert infeasible_share(LENGTHS, PRESETS["chat"], 0.0, 0.0, math.nan) == 0.0


def test_replicas_are_paid_from_sample_to_sample_also_where_a_scrape_failed() -> None:
    series = Series((100.0, 110.0, 120.0, 130.0), {"replicas": (1.0, None, 3.0, 3.0)})
    paid = cost(series, [], 2.0)
    assert paid is not None
    assert paid.replica_seconds == 1 * 20 + 3 * 10
    assert paid.gpu_hours == pytest.approx(100 / 3600)
    assert math.isnan(paid.good_per_gpu_second)


def test_good_answers_are_set_against_the_gpus_of_their_own_window() -> None:
    series = Series((0.0, 100.0, 200.0), {"replicas": (2.0, 4.0, 4.0)})
    measured = replace(probe(1.0, 0.9, count=1000), began_unix=90.0, seconds=30.0, window_seconds=20.0)
    paid = cost(series, [measured], 0.5)
    assert paid is not None
    assert paid.good_per_gpu_second == pytest.approx(900 / (20 * 4 * 0.5))


def test_without_replicas_there_is_no_cost() -> None:
    assert cost(Series(), [], 1.0) is None
    assert cost(Series((1.0,), {"replicas": (None,)}), [], 1.0) is None


def test_goodput_is_divided_by_the_gpus_where_there_are_any() -> None:
    goodput = estimate([probe(8.0, 1.0)], even(1.0, 0), 0.95, 0)
    assert with_gpus(goodput, 2).per_gpu == 4.0
    assert with_gpus(goodput, 0).per_gpu is None
