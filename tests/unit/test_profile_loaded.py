"""How much longer steps take under load: told from one loaded run, by the simulation that is as slow."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from autoscale.engine_profile import ASSUMED_H100_8B, EngineProfile
from autoscale.profile import loaded
from autoscale.profile.client import EngineClient
from autoscale.profile.run import under_load
from autoscale.simulate.fleet import Requests
from autoscale.simulate.kernel import Kernel
from loadtest.slo import Slo

COSTS = ("base_seconds", "prefill_seconds", "attention_seconds", "sequence_seconds", "context_seconds")
SECONDS = 20.0


def slowed(factor: float) -> EngineProfile:
    return ASSUMED_H100_8B.model_copy(update={name: getattr(ASSUMED_H100_8B, name) * factor for name in COSTS})


def planned(profile: EngineProfile) -> Requests:
    load = loaded.planned(profile, SECONDS, seed=1)
    assert load is not None
    return load


def stretched(load: Requests, seen: loaded.Times) -> EngineProfile:
    found = loaded.stretched(ASSUMED_H100_8B, load, seen)
    assert found is not None
    return found


def seen_of(profile: EngineProfile, requests: Requests) -> loaded.Times:
    """What a client of this engine would see."""
    fleet = Kernel(profile, requests, Slo("any", None, None))
    fleet.add(1)
    fleet.advance(600.0)
    results = fleet.results()
    return loaded.Times(results.ttft_seconds, results.tpot_seconds)


@pytest.mark.parametrize("factor", [1.0, 1.6, 2.5])
def test_an_engine_that_is_slower_under_load_is_known_by_it(factor: float) -> None:
    load = planned(ASSUMED_H100_8B)
    found = stretched(load, seen_of(slowed(factor), load))
    assert found.load_factor == pytest.approx(factor, rel=0.02)
    for name in COSTS:
        assert getattr(found, name) == pytest.approx(getattr(ASSUMED_H100_8B, name) * factor, rel=0.02)
    assert found.residuals["loaded_ttft"] < 0.05


def test_no_load_makes_steps_shorter_and_the_residual_says_that_it_seemed_so() -> None:
    load = planned(ASSUMED_H100_8B)
    found = stretched(load, seen_of(slowed(0.7), load))
    assert found.load_factor == 1.0
    assert found.base_seconds == pytest.approx(ASSUMED_H100_8B.base_seconds, rel=1e-4)
    assert found.residuals["loaded_ttft"] > 0.2


def test_a_factor_that_no_load_explains_is_none() -> None:
    load = planned(ASSUMED_H100_8B)
    seen = seen_of(slowed(7.0), load)
    assert stretched(load, seen).load_factor == pytest.approx(7.0, rel=0.05)
    assert loaded.stretched(ASSUMED_H100_8B, load, seen_of(slowed(9.0), load)) is None


def test_a_profile_on_a_busy_machine_keeps_its_costs_as_alone_and_says_what_to_do() -> None:
    class Disturbed(EngineClient):
        async def load(self, requests: Requests, model: str) -> loaded.Times:
            return seen_of(slowed(9.0), requests)

    said: list[str] = []
    found = asyncio.run(under_load(Disturbed("http://any", None, 1), "any", ASSUMED_H100_8B, said.append))
    assert found == ASSUMED_H100_8B
    assert "left out: steps took more than 8 times" in said[-1]
    assert said[-1].endswith("Profile again when the machine is free")


def test_what_the_factor_does_not_explain_is_a_residual() -> None:
    load = planned(ASSUMED_H100_8B)
    seen = seen_of(slowed(1.5), load)
    late = loaded.Times(seen.ttft_seconds * 2, seen.tpot_seconds)
    assert stretched(load, late).residuals["loaded_ttft"] == pytest.approx(0.5, abs=0.05)


def test_the_load_is_one_that_the_engine_carries_and_feels() -> None:
    load = planned(ASSUMED_H100_8B)
    alone = seen_of(ASSUMED_H100_8B, Requests(*(column[:1] for column in load)))
    seen = seen_of(ASSUMED_H100_8B, load)
    assert 1.05 < np.nanmean(seen.tpot_seconds) / np.nanmean(alone.tpot_seconds) < 2.5
    assert 0 <= load.at_seconds[0] <= load.at_seconds[-1] <= SECONDS


@pytest.mark.parametrize("factor", [300, 1000])
def test_an_engine_too_slow_for_a_load_has_none(factor: float) -> None:
    assert loaded.planned(slowed(factor), SECONDS, seed=1) is None


def test_prompts_stay_within_the_engines_context() -> None:
    small = ASSUMED_H100_8B.model_copy(update={"max_model_len": 128})
    load = planned(small)
    assert (load.prompt_tokens + load.output_tokens).max() < 128
