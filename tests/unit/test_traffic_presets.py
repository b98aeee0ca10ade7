"""The named workloads against the traces that they are fitted to, and made small for a small model."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.plan import Arrivals, Lengths, Workload
from loadtest.slo import PRESETS
from loadtest.traffic.columns import Columns, Ints
from loadtest.traffic.presets import WORKLOADS, fitted
from loadtest.traffic.schedule import columns


def drawn(workload: Workload) -> Columns:
    return columns(workload, Arrivals(), 100, 400, 1)


def prompts(of: Columns) -> Ints:
    """Whole prompts: prefix, history and input."""
    turns = of.turn_counts
    tokens = np.cumsum(of.input_tokens + of.output_tokens) - of.input_tokens - of.output_tokens
    history = tokens - np.repeat(tokens[of.first_turn[:-1]], turns)
    return np.asarray(history + of.input_tokens + np.repeat(of.prefix_tokens, turns))


@pytest.mark.parametrize(
    ("name", "input_mean", "output_mean"), [("chat", 1155, 211), ("code", 2048, 28), ("sessions", 1155, 211)]
)
def test_mean_lengths_are_those_of_the_azure_traces(name: str, input_mean: float, output_mean: float) -> None:
    found = drawn(WORKLOADS[name])
    assert prompts(found).mean() == pytest.approx(input_mean, rel=0.1)
    assert found.output_tokens.mean() == pytest.approx(output_mean, rel=0.2)


def test_agents_talk_as_long_as_those_of_inference_perf() -> None:
    found = drawn(WORKLOADS["agentic"])
    first = found.first_turn[:-1]
    assert 25 <= found.turn_counts.min() <= found.turn_counts.max() <= 57
    assert found.turn_counts.mean() == pytest.approx(38, rel=0.02)
    assert np.delete(found.input_tokens, first).mean() == pytest.approx(1652, rel=0.02)
    assert found.output_tokens.mean() == pytest.approx(585, rel=0.02)
    assert found.input_tokens[first].mean() == pytest.approx(14_000 + 1652, rel=0.05)


@pytest.mark.parametrize("name", ["chat", "chat-strict", "code", "code-relaxed", "batch"])
def test_every_slo_has_a_workload_of_its_name(name: str) -> None:
    assert {entry.slo for entry in WORKLOADS[name].classes} == {name}
    assert name in PRESETS


def test_batch_alone_is_not_streamed() -> None:
    found = {(entry.slo, entry.stream) for workload in WORKLOADS.values() for entry in workload.classes}
    assert {slo for slo, stream in found if not stream} == {"batch"}
    assert ("batch", True) not in found


@pytest.mark.parametrize("name", WORKLOADS)
def test_fitted_to_a_small_context_the_requests_fit_without_much_cutting(name: str) -> None:
    small = fitted(WORKLOADS[name], 2048)
    scaled, cut = (drawn(small.model_copy(update={"max_context_tokens": limit})) for limit in (None, 2048))
    assert (prompts(cut) + cut.output_tokens).max() <= 2048
    assert len(cut.input_tokens) == pytest.approx(len(scaled.input_tokens), rel=0.05)
    assert cut.turn_counts.mean() > 0.85 * scaled.turn_counts.mean()


def test_a_chat_fitted_to_2048_tokens_is_still_a_chat() -> None:
    found = drawn(fitted(WORKLOADS["chat"], 2048))
    assert 200 < np.median(found.input_tokens) < 400
    assert 40 < np.median(found.output_tokens) < 80
    assert found.input_tokens.mean() / found.output_tokens.mean() == pytest.approx(5.5, rel=0.1)


def test_a_context_that_is_wide_enough_scales_nothing() -> None:
    wide = fitted(WORKLOADS["chat"], 131_072)
    assert wide.classes == WORKLOADS["chat"].classes
    assert wide.max_context_tokens == 131_072


def test_an_own_narrower_context_stays() -> None:
    own = WORKLOADS["chat"].model_copy(update={"max_context_tokens": 1024})
    assert fitted(own, 2048).max_context_tokens == 1024


def test_classes_that_fit_keep_their_lengths() -> None:
    mixed = fitted(WORKLOADS["mixed"], 5000)
    assert mixed.classes[0] == WORKLOADS["mixed"].classes[0]
    assert mixed.classes[1].input.high < WORKLOADS["mixed"].classes[1].input.high


def test_a_length_without_an_upper_end_is_not_scaled_away() -> None:
    entry = WORKLOADS["chat"].classes[0].model_copy(update={"output": Lengths(median=64)})
    small = fitted(Workload(classes=(entry,)), 8192)
    assert small.classes[0].output.median == 64
