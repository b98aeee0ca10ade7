"""Whole schedules: rates and weights of classes, contexts, shares, and that a seed alone decides."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.plan import Arrivals, Lengths, TrafficClass, Turns, Workload
from loadtest.traffic.schedule import columns, offered, schedule, share
from loadtest.traffic.session import Session, Turn

POISSON = Arrivals()
SHORT = Lengths(median=20, sigma=0.5, high=100)
TALKING = TrafficClass(input=SHORT, output=SHORT, turns=Turns(mean=4, high=12))
SIGMAS = 5.0
GOLDEN_SESSIONS = [(1, -1, 0.166479), (1, -1, 0.362144), (0, 0, 0.630222)]
GOLDEN_INPUTS = [540, 168, 18, 70, 23, 18, 18, 25, 26, 27, 14, 31, 39, 9]
GOLDEN_OUTPUTS = [332, 501, 37, 18, 15, 34, 21, 22, 20, 14, 28, 36, 19, 32]
GOLDEN_THINKS = [
    0.0,
    0.0,
    0.0,
    11.731339,
    4.764497,
    3.611321,
    6.470172,
    4.228916,
    3.615246,
    3.422646,
    5.043791,
    3.116201,
    2.888544,
    8.316379,
]


def contexts(session: Session) -> list[int]:
    """Prefix, history, input and output of each request."""
    sizes = (turn.input_tokens + turn.output_tokens for turn in session.turns)
    return [session.prefix_tokens + size for size in accumulate(sizes)]


def workloads() -> st.SearchStrategy[Workload]:
    sizes = st.builds(
        Lengths, median=st.floats(1, 2_000), sigma=st.floats(0, 2), low=st.integers(1, 50), high=st.integers(50, 5_000)
    )
    entry = st.builds(
        TrafficClass,
        input=sizes,
        output=sizes,
        opening=st.none() | sizes,
        turns=st.builds(Turns, mean=st.floats(1, 8), high=st.integers(1, 20)),
        weight=st.floats(0.1, 5),
        prefix_tokens=st.integers(0, 3_000),
        prefixes=st.integers(1, 5),
    )
    return st.builds(
        Workload, classes=st.lists(entry, min_size=1, max_size=3).map(tuple), max_context_tokens=st.integers(2, 4_000)
    )


@settings(max_examples=60, deadline=None)
@given(workload=workloads(), seed=st.integers(0, 2**63))
def test_no_request_exceeds_the_context(workload: Workload, seed: int) -> None:
    limit = workload.max_context_tokens or 0
    for session in schedule(workload, POISSON, 20, 5, seed):
        assert max(contexts(session)) <= limit
        assert min(min(turn.input_tokens, turn.output_tokens) for turn in session.turns) >= 1
        assert (session.prefix >= 0) == (session.prefix_tokens > 0)


@settings(max_examples=30, deadline=None)
@given(workload=workloads(), seed=st.integers(0, 2**63), workers=st.integers(1, 7))
def test_shares_are_the_whole_schedule_once(workload: Workload, seed: int, workers: int) -> None:
    whole = schedule(workload, POISSON, 20, 5, seed)
    shares = [share(whole, worker, workers) for worker in range(workers)]
    assert sorted((entry for part in shares for entry in part), key=lambda entry: entry.index) == whole
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_context_that_is_wide_enough_changes_nothing() -> None:
    free = Workload(classes=(TALKING,))
    wide = Workload(classes=(TALKING,), max_context_tokens=12 * 200)
    drawn = columns(free, POISSON, 20, 50, 1)
    at, seconds = drawn.at_seconds, 50
    cut = columns(wide, POISSON, 20, seconds, 1)
    # Sessions begin a little sooner or later: what a cut leaves of the turns is measured, not known.
    both = min(len(at), len(cut.at_seconds))
    assert [one.turns for one in drawn.sessions()[:both]] == [one.turns for one in cut.sessions()[:both]]


def test_a_full_context_ends_a_session_before_its_next_turn() -> None:
    ten = Lengths(median=10)
    entry = TrafficClass(input=ten, output=ten, turns=Turns(mean=5, low=5, high=5), prefix_tokens=15)
    found = schedule(Workload(classes=(entry,), max_context_tokens=94), POISSON, 5, 5, 1)
    assert {len(session.turns) for session in found} == {3}
    assert {max(contexts(session)) for session in found} == {75}


def test_a_first_turn_too_long_loses_input_before_output() -> None:
    entry = TrafficClass(input=Lengths(median=500), output=Lengths(median=30))
    found = schedule(Workload(classes=(entry,), max_context_tokens=100), POISSON, 5, 5, 1)
    assert {session.turns for session in found} == {(Turn(70, 30),)}


def test_the_same_seed_gives_the_same_schedule_in_another_process() -> None:
    code = (
        "from loadtest.traffic.schedule import schedule; from loadtest.traffic.presets import WORKLOADS;"
        "from loadtest.plan import Arrivals; import hashlib;"
        "print(hashlib.sha256(repr(schedule(WORKLOADS['mixed'], Arrivals(), 20, 20, 7)).encode()).hexdigest())"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert len(first.stdout.strip()) == 64


def test_another_seed_gives_another_schedule() -> None:
    workload = Workload(classes=(TALKING,))
    assert schedule(workload, POISSON, 20, 5, 1) != schedule(workload, POISSON, 20, 5, 2)


def test_the_first_sessions_of_seed_1_stay_what_they_are() -> None:
    entry = TALKING.model_copy(update={"prefix_tokens": 64, "prefixes": 4})
    first = schedule(Workload(classes=(entry, TrafficClass(weight=2))), POISSON, 10, 10, 1)[:3]
    assert [(one.traffic_class, one.prefix, round(one.at_seconds, 6)) for one in first] == GOLDEN_SESSIONS
    assert [turn.input_tokens for one in first for turn in one.turns] == GOLDEN_INPUTS
    assert [turn.output_tokens for one in first for turn in one.turns] == GOLDEN_OUTPUTS
    assert [round(turn.think_seconds, 6) for one in first for turn in one.turns] == GOLDEN_THINKS


@pytest.mark.parametrize("max_context_tokens", [None, 150])
def test_requests_come_at_the_rate_asked_for_however_many_turns_a_session_has(max_context_tokens: int | None) -> None:
    classes = (TALKING, TrafficClass(input=SHORT, output=SHORT, weight=3))
    workload = Workload(classes=classes, max_context_tokens=max_context_tokens)
    requests = np.array([offered(schedule(workload, POISSON, 20, 50, seed)) for seed in range(100)])
    error = requests.std() / math.sqrt(len(requests))
    # A pilot of 8,192 sessions has an error of its own, 1 % at most.
    assert abs(requests.mean() - 1_000) < SIGMAS * error + 10


def test_weights_are_shares_of_the_sessions() -> None:
    workload = Workload(classes=(TALKING, TrafficClass(weight=3)))
    of_class = columns(workload, POISSON, 200, 200, 1).traffic_class
    assert abs(np.mean(of_class == 0) - 0.25) < SIGMAS * math.sqrt(0.25 * 0.75 / len(of_class))


def test_a_class_keeps_its_sessions_when_another_is_added_behind_it() -> None:
    alone = schedule(Workload(classes=(TALKING,)), POISSON, 10, 20, 1)
    beside = [
        one for one in schedule(Workload(classes=(TALKING, TALKING)), POISSON, 20, 20, 1) if not one.traffic_class
    ]
    assert [one.turns for one in alone] == [one.turns for one in beside]


def test_a_higher_rate_asks_the_same_sooner() -> None:
    slow, fast = (schedule(Workload(classes=(TALKING,)), POISSON, rate, 20, 1) for rate in (10, 40))
    assert [one.turns for one in slow] == [one.turns for one in fast[: len(slow)]]
    assert [one.at_seconds / 4 for one in slow] == pytest.approx([one.at_seconds for one in fast[: len(slow)]])


def test_sessions_are_numbered_in_the_order_of_their_times() -> None:
    found = schedule(Workload(classes=(TALKING, TALKING)), POISSON, 40, 20, 1)
    assert [one.index for one in found] == list(range(len(found)))
    assert [one.at_seconds for one in found] == sorted(one.at_seconds for one in found)


def test_prefixes_are_drawn_by_zipf() -> None:
    entry = TrafficClass(prefix_tokens=64, prefixes=4)
    drawn = columns(Workload(classes=(entry,)), POISSON, 200, 200, 1).prefix
    for rank in range(4):
        expected = (1 / (rank + 1)) / (1 + 1 / 2 + 1 / 3 + 1 / 4)
        assert abs(np.mean(drawn == rank) - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / len(drawn))


def test_only_later_turns_are_thought_about() -> None:
    found = schedule(Workload(classes=(TALKING,)), POISSON, 20, 20, 1)
    assert {one.turns[0].think_seconds for one in found} == {0.0}
    assert min(turn.think_seconds for one in found for turn in one.turns[1:]) > 0


def test_an_opening_is_longer_than_what_follows() -> None:
    entry = TALKING.model_copy(update={"opening": Lengths(median=900)})
    found = schedule(Workload(classes=(entry,)), POISSON, 20, 20, 1)
    assert {one.turns[0].input_tokens for one in found} == {900}
    assert max(turn.input_tokens for one in found for turn in one.turns[1:]) <= 100


def test_arrays_and_values_hold_the_same() -> None:
    drawn = columns(Workload(classes=(TALKING,)), POISSON, 20, 20, 1)
    found = drawn.sessions()
    assert [len(one.turns) for one in found] == drawn.turn_counts.tolist()
    assert [turn.input_tokens for one in found for turn in one.turns] == drawn.input_tokens.tolist()
    assert offered(found) == len(drawn.output_tokens)


def test_a_rate_of_nothing_is_an_empty_schedule() -> None:
    assert schedule(Workload(), POISSON, 0, 60, 1) == []


def test_a_negative_seed_is_named() -> None:
    with pytest.raises(ValueError, match="seed -1"):
        schedule(Workload(), POISSON, 1, 1, -1)


def test_a_worker_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="worker 3 of 3"):
        share([], 3, 3)
