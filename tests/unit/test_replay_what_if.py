"""A ScaledObject on recorded answers: what it would have asked for, when, because of which signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from autoscale.decide.read import read
from autoscale.replay.facts import facts
from autoscale.replay.recording import Recording, RecordingError, Span, gaps
from autoscale.replay.what_if import Own, Recorded, Step, changes, replay, replica_hours

STEP_SECONDS = 15.0
NOTHING: tuple[float, ...] = ()


def document(least: int = 1, formula: str = "need + extra") -> dict[str, Any]:
    triggers = [
        {
            "type": "prometheus",
            "name": name,
            "metricType": "AverageValue",
            "metadata": {"serverAddress": "http://p", "query": name, "threshold": "1", "ignoreNullValues": "false"},
        }
        for name in ("need", "extra")
    ]
    spec = {
        "scaleTargetRef": {"name": "cell"},
        "minReplicaCount": least,
        "maxReplicaCount": 20,
        "pollingInterval": 5,
        "cooldownPeriod": 60,
        "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
        "advanced": {"scalingModifiers": {"formula": formula, "target": "1", "metricType": "AverageValue"}},
        "triggers": triggers,
    }
    return {"kind": "ScaledObject", "metadata": {"name": "qwen"}, "spec": spec}


def recording(
    need: Sequence[float | None], there: Sequence[int | None] = (), extra: Sequence[float | None] = ()
) -> Recording:
    """One value per 15 s; None: Prometheus had no answer."""
    span = Span(0.0, STEP_SECONDS * (len(need) - 1), STEP_SECONDS)
    answers = {"need": need, "extra": extra or [0.0] * len(need)}
    found = {name: [NOTHING if one is None else (one,) for one in values] for name, values in answers.items()}
    return Recording(span, found, there or [1] * len(need))


def own(count: int = 1, start_seconds: float = 60.0) -> Own:
    return Own([-start_seconds] * count, start_seconds)


def syncs(steps: Sequence[Step]) -> list[int]:
    return [step.wanted for step in steps if step.readings]


def test_it_grows_at_the_sync_after_the_load_does_and_names_the_signal() -> None:
    steps = replay(document(), recording([1.0] * 4 + [3.4] * 4), own())
    assert syncs(steps) == [1, 1, 1, 1, 4, 4, 4, 4]
    assert list(changes(1, steps)) == [(60.0, 1, 4, "need", 3.4)]


def test_the_signal_behind_a_step_is_the_one_without_which_it_would_ask_for_least() -> None:
    steps = replay(document(), recording([1.0] * 4, extra=[0.0, 0.0, 5.0, 5.0]), own())
    assert [(each.why, each.reading) for each in changes(1, steps)] == [("extra", 5.0), ("extra", 5.0)]


def test_what_it_asked_for_is_ready_a_start_later() -> None:
    steps = replay(document(), recording([3.0] * 8), own(start_seconds=60.0))
    assert [step.ready for step in steps] == [1, 1, 1, 1, 3, 3, 3, 3]


def test_less_is_asked_for_only_once_the_window_is_over() -> None:
    steps = replay(document(), recording([4.0] * 4 + [1.0] * 40), own(4))
    (fall,) = changes(4, steps)
    # The last high answer is at 45 s; the HPA looks back over 300 s.
    assert (fall.before, fall.after) == (4, 1)
    assert 345 <= fall.seconds <= 360


def test_without_an_answer_nothing_shrinks() -> None:
    steps = replay(document(), recording([6.0] * 4 + [None] * 60), own(6))
    assert set(syncs(steps)) == {6}


def test_decided_upon_the_count_that_was_there_its_wish_is_beside_it() -> None:
    made = recording([5.0] * 6, there=[2] * 6)
    steps = replay(document(), made, Recorded(made, made.counts()))
    assert [(step.wanted, step.recorded) for step in steps] == [(5, 2)] * 6


def test_a_wish_that_nobody_obeys_is_not_paced_by_policies() -> None:
    made, paced = recording([9.0] * 8, there=[2] * 8), document()
    policies = [{"type": "Pods", "value": 2, "periodSeconds": 60}]
    paced["spec"]["advanced"]["horizontalPodAutoscalerConfig"] = {"behavior": {"scaleUp": {"policies": policies}}}
    assert set(syncs(replay(paced, made, Recorded(made, made.counts())))) == {9}
    assert syncs(replay(paced, made, own(2))) == [4, 4, 4, 4, 6, 6, 6, 6]


def test_from_zero_it_wakes_at_a_poll_and_goes_back_after_the_cooldown() -> None:
    made = recording([0.0] * 2 + [0.5] * 2 + [0.0] * 12, there=[0] * 16)
    steps = replay(document(least=0), made, own(0))
    assert [(each.before, each.after, each.why) for each in changes(0, steps)] == [
        (0, 1, "activation"),
        (1, 0, "no activity"),
    ]


def test_a_wake_that_the_recorded_count_did_not_follow_stands_until_activity_ends() -> None:
    made = recording([0.0] * 2 + [0.5] * 4 + [0.0] * 4, there=[0] * 10)
    steps = replay(document(least=0), made, Recorded(made, made.counts()))
    assert [(each.seconds, each.after) for each in changes(0, steps)] == [(30.0, 1), (90.0, 0)]


def test_hours_are_of_counts_that_hold_until_the_next() -> None:
    assert replica_hours(1, [(0.0, 2), (1800.0, None), (2700.0, 4)], 3600.0) == pytest.approx(0.75 * 2 + 0.25 * 4)


def test_the_facts_compare_what_it_wanted_with_what_was_there() -> None:
    steps = replay(document(), recording([1.0] * 4 + [3.0] * 5, there=[2] * 9), own())
    found = dict(facts(steps, 1, 120.0, True))
    assert found["would have asked for"].startswith("1 to 3 replicas, 2.00 on average")
    assert found["there were"].startswith("2 to 2 replicas, 2.00 on average, 0.07 replica-hours, 0 turns")


def test_gaps_are_said_by_trigger_with_their_extent() -> None:
    made = recording([1.0, None, None, 1.0], extra=[1.0, float("nan"), 1.0, 1.0], there=[1, None, 1, 1])
    made.answers["need"][0] += (2.0,)  # type: ignore[index]
    assert list(gaps(made, read(document()))) == [
        "need: no answer at 2 of 4 moments, 1970-01-01T00:00:15Z to 1970-01-01T00:00:30Z",
        "need: several series at 1 of 4 moments, 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z",
        "extra: no finite number at 1 of 4 moments, 1970-01-01T00:00:15Z to 1970-01-01T00:00:15Z",
        "the replicas there were are not known at 1 of 4 moments",
    ]


def test_a_count_that_is_missing_is_the_one_before_and_none_at_all_is_an_error() -> None:
    assert recording([1.0] * 5, there=[None, 2, None, 3, None]).counts() == [2, 2, 2, 3, 3]
    with pytest.raises(RecordingError, match="--begin"):
        recording([1.0] * 2, there=[None, None]).counts()


@pytest.mark.parametrize(
    ("span", "named"),
    [(Span(10, 10, 1), "--to"), (Span(10, 5, 1), "--to"), (Span(0, 10, 0), "--step 0"), (Span(0, 10, 60), "--step 60")],
)
def test_a_range_that_is_none_is_refused(span: Span, named: str) -> None:
    with pytest.raises(RecordingError, match=named):
        span.check()
