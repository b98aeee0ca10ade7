"""The step model's costs are found again in what an engine of known costs would have shown."""

from __future__ import annotations

import math
import random

import pytest

from autoscale.profile.fit import fitted
from autoscale.profile.marks import ProfileError
from autoscale.profile.runs import Kind, Point, Run, planned

BASE, PREFILL, ATTENTION, SEQUENCE, CONTEXT, REQUEST = 6e-3, 30e-6, 2e-9, 20e-6, 40e-9, 4e-3
BUDGET = 2048


def seen(run: Run, error: float = 0.0) -> Point:
    """What an engine of these costs shows of a run, give or take a relative error."""
    if run.kind is Kind.PREFILL:
        pairs = sum(place + 0.5 for place in range(run.prompt_tokens))
        steps = math.ceil(run.prompt_tokens / BUDGET)
        seconds = steps * BASE + run.prompt_tokens * PREFILL + pairs * ATTENTION + REQUEST
        return Point(run, seconds * (1 + error), 0.0)
    context = run.streams * (run.prompt_tokens + run.output_tokens / 2)
    return Point(run, (BASE + SEQUENCE * run.streams + CONTEXT * context) * (1 + error), context)


def test_exact_runs_give_the_costs_back() -> None:
    fit = fitted([seen(run) for run in planned(16384, 256, BUDGET)], BUDGET)

    assert fit[:6] == pytest.approx((BASE, PREFILL, ATTENTION, SEQUENCE, CONTEXT, REQUEST), rel=1e-6)
    assert set(fit.residuals.values()) == {0.0}


def test_noisy_runs_give_costs_that_foresee_what_was_held_out() -> None:
    noise = random.Random(7)
    points = [seen(run, noise.uniform(-0.05, 0.05)) for run in planned(16384, 256, BUDGET)]

    fit = fitted(points, BUDGET)

    assert fit.prefill_seconds + 4096 * fit.attention_seconds == pytest.approx(PREFILL + 4096 * ATTENTION, rel=0.1)
    assert all(error < 0.06 for error in fit.residuals.values()), fit.residuals


def test_a_cost_that_noise_pushes_below_zero_is_zero() -> None:
    runs = planned(4096, 32, BUDGET)
    free_context = [
        seen(run)._replace(seconds=BASE + SEQUENCE * run.streams) for run in runs if run.kind is Kind.DECODE
    ]
    prompts = [seen(run) for run in runs if run.kind is Kind.PREFILL]
    shrunk = [point._replace(seconds=point.seconds - 1e-9 * point.context_tokens) for point in free_context]

    assert fitted(prompts + shrunk, BUDGET).context_seconds == 0.0


def test_times_by_which_a_step_takes_none_are_refused() -> None:
    runs = planned(4096, 32, BUDGET)
    by_context = [
        point._replace(seconds=CONTEXT * point.context_tokens)
        for point in (seen(run) for run in runs if run.kind is Kind.DECODE)
    ]
    by_tokens = [Point(run, PREFILL * run.prompt_tokens, 0.0) for run in runs if run.kind is Kind.PREFILL]

    with pytest.raises(ProfileError, match=r"a step would take none.* profile it when that is free"):
        fitted(by_tokens + by_context, BUDGET)


def test_held_out_runs_are_not_fitted() -> None:
    points = [seen(run, error=9.0 if run.held_out else 0.0) for run in planned(8192, 64, BUDGET)]

    fit = fitted(points, BUDGET)

    assert fit.prefill_seconds == pytest.approx(PREFILL, rel=1e-6)
    assert fit.residuals["prefill_held_out"] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(("context", "seqs"), [(512, 4), (2048, 16), (4096, 64), (131072, 256)])
def test_every_planned_run_fits_the_engine(context: int, seqs: int) -> None:
    runs = planned(context, seqs, BUDGET)

    assert all(run.prompt_tokens + run.output_tokens <= context and run.streams <= seqs for run in runs)
    assert set(Kind) == {run.kind for run in runs if run.held_out}


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="2 measured points do not tell 6 costs apart"):
        fitted([seen(run) for run in planned(16384, 256, BUDGET)[:2]], BUDGET)
