"""The knee engine: its model in virtual time, the truth drawn from it, and the server that follows it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench import knee_truth
from bench.knee_engine import flags
from bench.knee_model import Entry, Generation, Profile, StepEngine
from loadtest.slo import PRESETS, Slo
from loadtest.traffic.session import Session, Turn
from tests.support.ports import free_port
from tests.support.waiting import eventually

PLAIN = Profile(base_seconds=0.01, per_sequence_seconds=0.001, max_num_seqs=4)
QUICK = Profile(base_seconds=0.001, per_sequence_seconds=0.0, max_num_seqs=2)
SLOW = Profile(base_seconds=0.02, per_sequence_seconds=0.0, max_num_seqs=1)
TEN_WORDS = [{"role": "user", "content": "one two three four five six seven eight nine ten"}]


def sessions(*at: float, tokens: int = 3, turns: int = 1, prompt: int = 10) -> list[Session]:
    each = (Turn(prompt, tokens), *(Turn(prompt, tokens, think_seconds=1.0) for _ in range(turns - 1)))
    return [Session(index, when, 0, -1, 0, each) for index, when in enumerate(at)]


def evenly(rate: float, seed: int) -> list[Session]:
    return sessions(*(number / rate for number in range(int(20 * rate))), tokens=10)


def ask(port: int, tokens: int, stream: bool = False) -> urllib.request.Request:
    body = {"model": "knee", "messages": TEN_WORDS, "max_tokens": tokens, "stream": stream}
    headers = {"content-type": "application/json"}
    return urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), headers)


def status(port: int, tokens: int = 1) -> tuple[int, str | None]:
    try:
        with urllib.request.urlopen(ask(port, tokens), timeout=30) as answer:
            return answer.status, None
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["retry-after"]


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        sample.name + sample.labels.get("finished_reason", ""): sample.value
        for family in families
        for sample in family.samples
        if "le" not in sample.labels
    }


@contextlib.contextmanager
def engine(profile: Profile) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.knee_engine", "--port", str(port := free_port()), *flags(profile)]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: answers(port), within=20, what="the engine")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(scraped(port))
    return False


def test_a_step_takes_as_long_as_its_batch_asks() -> None:
    alone, joins = knee_truth.simulate(PLAIN, sessions(0.0, 0.005))
    assert alone.first == pytest.approx(0.011)
    assert joins.first == pytest.approx(0.011 + 0.012), "it waits for the step under way, then shares one"
    assert alone.last == pytest.approx(0.011 + 2 * 0.012)
    assert joins.last == pytest.approx(0.011 + 2 * 0.012 + 0.011), "its last token is its own again"


def test_prompts_are_paid_for_by_the_step_that_admits_them() -> None:
    prefill = Profile(base_seconds=0.01, per_sequence_seconds=0.0, per_prompt_token_seconds=0.001)
    (only,) = knee_truth.simulate(prefill, sessions(0.0, prompt=100))
    assert only.first == pytest.approx(0.11)
    assert only.last == pytest.approx(0.13)


def test_the_queue_is_first_come_first_served() -> None:
    served = knee_truth.simulate(SLOW, sessions(*(number / 1000 for number in range(6))))
    assert all(earlier.last < later.first for earlier, later in pairwise(served))


def test_a_full_engine_has_the_capacity_that_its_profile_says() -> None:
    served = knee_truth.simulate(PLAIN, sessions(*[0.0] * 400, tokens=10))
    assert 400 * 10 / max(one.last for one in served) == pytest.approx(PLAIN.capacity_tokens_per_second(), rel=0.01)


def test_it_sheds_above_its_limit_and_fails_its_share_evenly() -> None:
    full = knee_truth.simulate(Profile(shed_above=5), sessions(*[0.0] * 8))
    assert [one.entry for one in full] == [Entry.TAKEN] * 5 + [Entry.SHED] * 3
    broken = knee_truth.simulate(Profile(fail_share=0.25), sessions(*range(8)))
    assert [one.entry for one in broken] == ([Entry.TAKEN] * 3 + [Entry.FAILED]) * 2


def test_a_stall_holds_back_the_step_it_meets_and_every_arrival_within() -> None:
    stalls = Profile(base_seconds=0.01, per_sequence_seconds=0.0, stall_at_seconds=1.0, stall_every_seconds=10.0)
    before, met, within, after, again = knee_truth.simulate(stalls, sessions(0.9, 0.995, 1.5, 3.5, 12.5))
    assert before.last == pytest.approx(0.93)
    assert met.first == pytest.approx(3.005)
    assert within.first == pytest.approx(3.015)
    assert after.first == pytest.approx(3.51)
    assert again.first == pytest.approx(13.01), "the second stall"


def test_a_stall_that_comes_once_comes_once() -> None:
    once = Profile(base_seconds=0.01, per_sequence_seconds=0.0, stall_at_seconds=1.0)
    assert [one.first for one in knee_truth.simulate(once, sessions(1.5, 12.5))] == pytest.approx([3.01, 12.51])


def test_a_turn_begins_after_its_thinking_and_resends_the_history() -> None:
    prefill = Profile(base_seconds=0.01, per_sequence_seconds=0.0, per_prompt_token_seconds=0.001)
    first, second = knee_truth.simulate(prefill, sessions(0.0, turns=2))
    assert second.arrived == pytest.approx(first.last + 1.0)
    assert second.first - second.arrived == pytest.approx(0.01 + (10 + 3 + 10) * 0.001)


def test_who_left_has_no_more_tokens_and_frees_its_slot() -> None:
    steps = StepEngine(SLOW)
    leaves, waits = (Generation(0.0, 10, 100) for _ in range(2))
    assert [steps.offer(one) for one in (leaves, waits)] == [Entry.TAKEN] * 2
    steps.abort(leaves)
    steps.finish_step()
    assert list(steps.finish_step()) == [waits]
    assert leaves.emitted == 0


def test_the_true_goodput_of_even_arrivals_is_the_capacity() -> None:
    probe = knee_truth.Probe(PRESETS["chat"], seconds=20.0, warmup_seconds=5.0)
    found = knee_truth.goodput(PLAIN, probe, evenly, 0.95)
    assert found == pytest.approx(PLAIN.capacity_tokens_per_second() / 10, rel=0.05)


def test_the_closed_form_of_a_stall_is_what_the_model_does() -> None:
    stalls = Profile(
        base_seconds=0.01, per_sequence_seconds=0, max_num_seqs=500, stall_at_seconds=4, stall_every_seconds=5
    )
    probe = knee_truth.Probe(ttft := Slo("ttft", 0.5, None), seconds=20.0, warmup_seconds=5.0)
    in_closed_form = knee_truth.stalled_attainment(stalls, ttft)
    assert knee_truth.attainment(stalls, probe, evenly, 200.0) == pytest.approx(in_closed_form, abs=0.005)


def test_no_rate_has_a_goodput_above_the_share_that_fails() -> None:
    probe = knee_truth.Probe(PRESETS["chat"], seconds=20.0)
    assert knee_truth.goodput(Profile(fail_share=0.2), probe, evenly, 0.95) == 0.0


def test_it_is_an_openai_server_to_the_openai_client() -> None:
    with engine(QUICK) as port, openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
        assert [card.id for card in client.models.list()] == ["knee"]
        whole = client.chat.completions.create(model="knee", messages=TEN_WORDS, max_tokens=7)
        assert whole.usage.completion_tokens == 7
        stream = client.chat.completions.create(
            model="knee", messages=TEN_WORDS, max_tokens=7, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    assert sum(bool(choice.delta.content) for chunk in chunks for choice in chunk.choices) == 7
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (10, 7)


def test_its_metrics_agree_with_what_it_served() -> None:
    with engine(QUICK) as port, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: status(port, tokens=5), range(24))) == {(200, None)}
        said = scraped(port)
    assert said["vllm:request_success_totallength"] == said["vllm:time_to_first_token_seconds_count"] == 24
    assert said["vllm:prompt_tokens_total"] == 24 * 10
    assert said["vllm:generation_tokens_total"] == 24 * 5
    assert said["vllm:num_requests_running"] == said["vllm:num_requests_waiting"] == 0
    assert said["vllm:time_to_first_token_seconds_sum"] / 24 >= QUICK.base_seconds


def test_its_times_are_not_before_those_of_its_model() -> None:
    with engine(SLOW) as port, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: status(port, tokens=5), range(3)))
        said = scraped(port)
    assert said["knee:step_lag_seconds_count"] == 15, "one slot: a step for each token"
    assert said["vllm:time_to_first_token_seconds_sum"] == pytest.approx((0.02 + 0.12 + 0.22), abs=0.1)


def test_a_client_that_leaves_is_counted_as_aborted_and_holds_no_slot() -> None:
    with engine(SLOW) as port:
        with urllib.request.urlopen(ask(port, 10_000, stream=True), timeout=30) as answer:
            assert answer.readline().startswith(b"data: ")
            assert scraped(port)["vllm:num_requests_running"] == 1
        eventually(lambda: scraped(port)["vllm:request_success_totalabort"] == 1)
        assert status(port) == (200, None)


def test_over_the_wire_a_full_engine_sheds_with_retry_after_and_a_broken_one_fails() -> None:
    with engine(Profile(shed_above=0)) as full, engine(Profile(fail_share=0.5)) as broken:
        assert status(full) == (429, "1")
        assert [status(broken)[0] for _ in range(4)] == [200, 500, 200, 500]


@pytest.mark.parametrize("body", [b"no json", b"{}", b'{"model": "knee", "messages": []}'])
def test_what_is_no_chat_request_is_a_400(body: bytes) -> None:
    with engine(QUICK) as port, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/chat/completions", body, timeout=30)
    assert refused.value.code == 400
