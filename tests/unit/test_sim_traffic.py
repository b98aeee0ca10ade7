"""Traces: the rate that the oracle is told is the rate that requests come at."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.simulate import traffic


@pytest.mark.parametrize("name", traffic.NAMES)
def test_requests_come_at_the_rate_that_is_told(name: str) -> None:
    trace = traffic.draw(name, 40.0, 3, hours=2.0)
    edges = np.linspace(0, trace.seconds, 25)
    counts = np.histogram(trace.requests.at_seconds, edges)[0]
    fine = np.arange(0, trace.seconds) + 0.5
    expected = np.histogram(fine, edges, weights=trace.total_rate(fine))[0]
    assert len(trace.requests.at_seconds) == pytest.approx(40 * trace.seconds, rel=0.02)
    assert np.abs(counts - expected).max() < 5 * 3 * np.sqrt(expected.max())
    assert (np.diff(trace.requests.at_seconds) >= 0).all()


def test_a_seed_draws_the_same_trace_and_another_seed_another() -> None:
    one, same, other = (traffic.draw("bursty", 20.0, seed).requests for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert len(other.at_seconds) != len(one.at_seconds) or (other.at_seconds != one.at_seconds).any()


def test_lengths_are_those_of_the_conversations_and_shift_to_code() -> None:
    chat = traffic.draw("bursty", 40.0, 1).requests
    assert chat.prompt_tokens.mean() == pytest.approx(1155, rel=0.05)
    assert chat.output_tokens.mean() == pytest.approx(211, rel=0.08)
    shift = traffic.draw("shift", 40.0, 1).requests
    early, late = shift.at_seconds < 2400, shift.at_seconds > 3000
    assert shift.prompt_tokens[late].mean() > 1.4 * shift.prompt_tokens[early].mean()
    assert shift.output_tokens[late].mean() < 0.5 * shift.output_tokens[early].mean()


def test_the_bursts_are_nearly_three_times_the_mean_and_the_steady_trace_is_noisy() -> None:
    bursty, steady = traffic.draw("bursty", 40.0, 1), traffic.draw("steady", 40.0, 1)
    assert bursty.total_rate(np.arange(bursty.seconds)).max() / 40 == pytest.approx(2.9, abs=0.05)
    gaps = np.diff(steady.requests.at_seconds)
    assert gaps.std() / gaps.mean() == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: traffic.draw("wavy", 1.0, 0), "trace: 'wavy' is none of bursty"),
        (lambda: traffic.draw("bursty", 0.0, 0), "mean_rate: 0"),
        (lambda: traffic.draw("bursty", 1.0, 0, hours=-1), "hours: -1"),
    ],
)
def test_what_cannot_be_drawn_is_named(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
