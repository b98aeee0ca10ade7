"""The law's formula on readings: what the demand, a remembered miss and a guard each ask for."""

import pytest

from autoscale import signals
from autoscale.decide.formula import compile_formula

QUIET = {"queued": 0.0, "asked": 9.0, "ready": 8.0, "missed": 0.0, "overrated": 0.0, "ttft": 0.2, "kv": 0.3}
EIGHT = {**QUIET, "prefill": 5.0, "decode": 3.0}


def asked_for(**readings: float) -> float | None:
    file = signals.load()
    return compile_formula(file.formula({"model": "m"}), list(file.signals)).evaluate({**EIGHT, **readings})


def test_a_demand_is_asked_for_as_it_is() -> None:
    assert asked_for() == 8.0
    assert asked_for(queued=0.5) == 8.5


@pytest.mark.parametrize("overrated", [0.21, 1.0])
def test_a_miss_with_engines_enough_is_worth_a_quarter_more_while_it_is_remembered(overrated: float) -> None:
    assert asked_for(overrated=overrated) == 10.0
    assert asked_for(overrated=overrated, prefill=0.5, decode=0.3) == 1.0


def test_what_noise_misses_is_not_remembered() -> None:
    assert asked_for(overrated=0.2) == 8.0


@pytest.mark.parametrize("ready", [8.0, 10.0, 20.0, 100.0])
def test_a_guard_on_a_remembered_miss_ends_at_a_quarter_and_one_above_the_demand(ready: float) -> None:
    found = asked_for(overrated=1.0, missed=1.0, ttft=9.0, kv=1.0, ready=ready)

    assert found is not None
    assert 10.0 <= found <= 11.0


def test_bad_answers_while_engines_start_ask_for_nothing_more() -> None:
    assert asked_for(missed=1.0, ready=3.0) == 8.0
