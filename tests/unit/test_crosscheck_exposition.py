"""Expositions of a real front and a real vLLM become numbers that add up."""

from __future__ import annotations

import pytest

from loadtest.server.exposition import Snapshot, increase, parse, restarted, summed
from serving.metrics import FrontSeries, VllmSeries
from tests.support.recorded import FOLDER, Recorded


@pytest.fixture
def recorded() -> Recorded:
    return Recorded("exact")


def test_a_name_is_not_mistaken_for_another_that_begins_with_it() -> None:
    busy = parse((FOLDER / "engine_busy.txt").read_text(encoding="utf-8"))
    assert busy.total(VllmSeries.RUNNING) == 3
    assert busy.total(VllmSeries.WAITING) == 0
    assert busy.values(VllmSeries.KV_USAGE) == [pytest.approx(0.0549, abs=1e-4)]


def test_what_is_not_asked_for_is_left_out(recorded: Recorded) -> None:
    text = recorded.text("engine_after")
    assert parse(text, ["vllm:iteration_tokens_total"]).total("vllm:iteration_tokens_total_count") > 0
    assert not parse(text).has("vllm:iteration_tokens_total_count")


def test_labels_choose_what_is_summed(recorded: Recorded) -> None:
    gained = increase(parse(recorded.text("front_before")), parse(recorded.text("front_after")))
    assert gained.total(FrontSeries.REQUESTS) == 40
    assert gained.total(FrontSeries.REQUESTS, status="400") == 3
    assert gained.by(FrontSeries.REQUESTS, "outcome")["ok"] == 37


def test_buckets_are_cumulative_and_end_with_all(recorded: Recorded) -> None:
    gained = increase(parse(recorded.text("engine_before")), parse(recorded.text("engine_after")))
    buckets = gained.buckets(VllmSeries.TTFT)
    edges, counts = zip(*buckets, strict=True)
    assert {0.1, 0.25, 0.5} <= set(edges)
    assert list(counts) == sorted(counts)
    assert buckets[-1] == (float("inf"), 37)


def test_engines_add_up_bucket_by_bucket(recorded: Recorded) -> None:
    one = parse(recorded.text("engine_after"))
    both = summed([one, one])
    assert both.buckets(VllmSeries.TTFT) == [(edge, 2 * count) for edge, count in one.buckets(VllmSeries.TTFT)]
    assert both.total(VllmSeries.OUTPUT_TOKENS) == 2 * one.total(VllmSeries.OUTPUT_TOKENS)


def test_a_labels_first_sample_counts_from_zero() -> None:
    assert increase(Snapshot(), parse('tidegate_requests_total{outcome="ok"} 4.0\n')).total(FrontSeries.REQUESTS) == 4


def test_a_run_is_no_restart_but_a_counter_that_went_back_is(recorded: Recorded) -> None:
    before, after = parse(recorded.text("engine_before")), parse(recorded.text("engine_after"))
    assert not restarted(before, after)
    assert restarted(after, before)
    assert increase(after, before).total(VllmSeries.OUTPUT_TOKENS) == before.total(VllmSeries.OUTPUT_TOKENS)


def test_a_restart_shows_even_when_the_new_counts_have_overtaken_the_old(recorded: Recorded) -> None:
    before, after = recorded.text("engine_before"), recorded.text("engine_after")
    (began,) = (line for line in after.splitlines() if line.startswith(f"{VllmSeries.BEGAN}{{"))
    later = began.rsplit(" ", 1)[0] + " 1.9e+09"
    assert restarted(parse(before), parse(after.replace(began, later)))


@pytest.mark.parametrize("text", ["", "<html>no end", "vllm:num_requests_running{engine=\n", "vllm:num_requests_run"])
def test_what_is_cut_or_no_exposition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
