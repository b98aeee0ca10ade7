"""Histograms add up, travel as JSON, and answer within their error of the raw floats."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.verdict.histogram import RELATIVE_ERROR, Histogram

SECONDS = st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=200)


def of(values: list[float]) -> Histogram:
    made = Histogram()
    made.add(np.array(values, dtype=np.float64))
    return made


@given(SECONDS, st.integers(0, 100))
def test_a_quantile_is_that_of_the_raw_floats_within_the_error(values: list[float], percent: int) -> None:
    rank = max(-(-percent * len(values) // 100), 1)
    raw = sorted(values)[rank - 1]
    assert of(values).quantile(percent / 100) == pytest.approx(raw, rel=RELATIVE_ERROR * 1.0001)


@given(SECONDS, SECONDS, st.floats(0, 1))
def test_merged_parts_equal_the_whole(one: list[float], other: list[float], share: float) -> None:
    merged, whole = of(one), of(one + other)
    merged.merge(of(other))
    assert merged.quantile(share) == whole.quantile(share)
    assert (merged.count, merged.mean) == (whole.count, pytest.approx(whole.mean))


@given(SECONDS, st.floats(0, 1))
def test_it_survives_json(values: list[float], share: float) -> None:
    back = Histogram.from_dict(json.loads(json.dumps(of(values).to_dict())))
    assert (back.quantile(share), back.count, back.mean) == (of(values).quantile(share), len(values), of(values).mean)


def test_an_hour_of_requests_is_a_few_kilobytes_of_json() -> None:
    values = np.random.default_rng(0).lognormal(-1, 1, 1_000_000)
    made = Histogram()
    made.add(values)
    assert len(json.dumps(made.to_dict())) < 4000


def test_zeros_count_unknown_values_do_not_and_nothing_has_no_quantile() -> None:
    assert of([0.0, 0.0, 1.0]).quantile(0.5) == 0.0
    assert of([math.nan, 2.0]).count == 1
    assert of([math.inf]).quantile(1.0) == pytest.approx(1e6, rel=RELATIVE_ERROR)
    assert math.isnan(of([]).quantile(0.5))
    assert math.isnan(Histogram.from_dict(of([]).to_dict()).mean)


def test_buckets_of_another_error_are_refused() -> None:
    with pytest.raises(ValueError, match="relative_error"):
        Histogram.from_dict(of([1.0]).to_dict() | {"relative_error": 0.02})
