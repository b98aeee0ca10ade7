"""A real engine is profiled: its costs are plausible, its cache is its own, and others' requests are noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from autoscale.profile.marks import ProfileError
from autoscale.profile.run import Measured, Target, measure
from autoscale.profile.runs import Kind, Run
from tests.engine.cell_process import CellProcess
from tests.engine.conftest import SMALL

pytestmark = pytest.mark.timeout(400)
SEQS, BUDGET = 16, 2048


def short(*_: int) -> Sequence[Run]:
    """Seconds instead of minutes."""
    prompts = [Run(Kind.PREFILL, 1, length, 1, length == 512) for length in (32, 256, 512, 1024, 1900)]
    decodes = [Run(Kind.DECODE, count, 16, 48 + 2 * count, count == 4) for count in (1, 2, 4, 8)]
    return [*prompts, *decodes, Run(Kind.DECODE, 4, 1024, 64)]


def profiled(cell: CellProcess, model: str | None = None, said: list[str] | None = None) -> Measured:
    target = Target(cell.url, None, model, SEQS, BUDGET, "CPU")
    return asyncio.run(measure(target, (said if said is not None else []).append, short))


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What was told while it was measured."""
    return []


@pytest.fixture(scope="module")
def measured(engine_cell: CellProcess, said: list[str]) -> Measured:
    return profiled(engine_cell, said=said)


def test_costs_are_those_of_an_engine(measured: Measured) -> None:
    profile = measured.profile
    first = {point.run.prompt_tokens: point.seconds for point in measured.points if point.run.kind is Kind.PREFILL}

    assert first[1900] > 2 * first[256] > 0
    assert profile.prefill_seconds + profile.attention_seconds > 0
    assert profile.base_seconds + profile.sequence_seconds > 0
    prefill_seconds = (profile.prefill_seconds + 950 * profile.attention_seconds) / profile.load_factor
    assert 1e-6 < prefill_seconds < first[1900] / 1000
    assert profile.measured["model"] == "tiny"


def test_the_cache_has_the_blocks_that_the_engine_was_given(measured: Measured, engine_cell: CellProcess) -> None:
    profile = measured.profile

    assert profile.kv_cache_tokens == SMALL["vllm_flags.num-gpu-blocks-override"] * profile.block_tokens
    with engine_cell.request("/v1/models") as answer:
        assert profile.max_model_len == json.load(answer)["data"][0]["max_model_len"]


def test_the_fit_tells_how_far_it_is_off(measured: Measured, said: list[str]) -> None:
    residuals = measured.profile.residuals
    loaded = set() if said[-1].startswith("[load] left out: ") else {"loaded_ttft"}

    assert set(residuals) == {"prefill", "prefill_held_out", "decode", "decode_held_out"} | loaded
    assert residuals["prefill"] < 0.5


def test_it_ends_under_load_and_says_what_that_costs_or_why_it_does_not_know(
    measured: Measured, said: list[str]
) -> None:
    profile = measured.profile
    if "loaded_ttft" in profile.residuals:
        assert float(said[-2].split()[1]) > 0
        assert said[-2].endswith("requests/s for 20 s")
        assert said[-1] == f"[load] steps take {profile.load_factor:.2f} times what they take alone"
    else:
        assert said[-1].startswith("[load] left out: ")
        assert profile.load_factor == 1


def test_a_wrong_name_is_answered_with_the_right_ones(engine_cell: CellProcess) -> None:
    with pytest.raises(ProfileError, match="--model: must name one of the served models: tiny"):
        profiled(engine_cell, "huge")


def test_a_busy_engine_is_not_profiled(engine_cell: CellProcess) -> None:
    with engine_cell.long_stream(1500) as stream:
        stream.readline()
        with pytest.raises(ProfileError, match="the engine has 1 requests already"):
            profiled(engine_cell)
