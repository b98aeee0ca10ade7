"""What decides the exit status: limits, withheld verdicts, cross-checks, and a baseline that is comparable."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.plan import Gate
from loadtest.report import gate, json_file
from loadtest.report.baseline import compare
from loadtest.results import Check, CrossCheck, Interval, Reconciled, Result
from tests.support.load_run import World, run


@pytest.fixture(scope="module")
def result() -> Result:
    return run(World(800))[0]


def _with_goodput(result: Result, value: float, half: float = 0.1) -> Result:
    rate = Interval(value, value - half, value + half)
    return replace(result, goodputs=tuple(replace(entry, rate=rate) for entry in result.goodputs))


def _withheld(result: Result, quantile: float | None = None) -> Result:
    chosen = (
        replace(g, withheld="the client lagged") if quantile in (None, g.quantile) else g for g in result.goodputs
    )
    return replace(result, goodputs=tuple(chosen))


def _searched_for_nothing(result: Result) -> Result:
    return replace(result, plan={**result.plan, "kind": "curve"}, goodputs=())


def _limited(result: Result) -> Result:
    client = replace(result.probes[0].client, reasons=("send lag",))
    return replace(result, probes=(replace(result.probes[0], client=client), *result.probes[1:]))


def _status(result: Result, asked: Gate | None = None) -> int:
    plan = {**result.plan, "gate": (asked or Gate()).model_dump(mode="json")}
    gated = replace(result, plan=plan)
    return gate.exit_status(replace(gated, checks=gate.checks(gated, asked or Gate())))


@pytest.mark.parametrize(("least", "status"), [(3.9, 0), (4.0, 0), (4.1, 1)])
def test_a_goodput_below_its_limit_fails(result: Result, least: float, status: int) -> None:
    assert _status(_with_goodput(result, 4.0), Gate(min_goodput=least)) == status


def test_a_limit_within_the_interval_is_said_to_be_unsure(result: Result) -> None:
    said = [check.message for check in gate.checks(_with_goodput(result, 4.0), Gate(min_goodput=3.95))]
    assert any("the interval holds the limit" in message for message in said)
    sure = [check.message for check in gate.checks(_with_goodput(result, 4.0), Gate(min_goodput=3.0))]
    assert not any("the interval holds the limit" in message for message in sure)


def test_no_verdict_is_a_status_of_its_own_whatever_else_failed(result: Result) -> None:
    assert _status(_withheld(result), Gate(min_goodput=99)) == 3
    assert _status(_limited(_searched_for_nothing(result))) == 3
    assert _status(replace(_searched_for_nothing(result), probes=())) == 3


def test_a_verdict_withheld_at_another_quantile_does_not_matter(result: Result) -> None:
    assert _status(_withheld(result, 0.99)) == 0
    assert _status(_withheld(result, 0.99), Gate(quantile=0.99)) == 3


def test_a_quantile_that_was_not_searched_for_is_named(result: Result) -> None:
    said = gate.checks(result, Gate(quantile=0.8))[0]
    assert not said.holds
    assert "0.8 is none of search.quantiles (0.9, 0.95, 0.99)" in said.message


def test_servers_that_counted_otherwise_fail_the_run(result: Result) -> None:
    wrong = CrossCheck(True, (Reconciled("requests", 100, 93, False),))
    assert _status(replace(result, crosscheck=wrong)) == 1
    assert _status(replace(result, crosscheck=CrossCheck(False))) == 0


def test_attainment_is_asked_of_every_probe_of_a_curve(result: Result) -> None:
    lowest = min(probe.attainment.value for probe in result.probes)
    curve = _searched_for_nothing(result)
    assert _status(curve, Gate(min_attainment=lowest)) == 0
    assert _status(curve, Gate(min_attainment=lowest + 0.01)) == 1


def test_attainment_is_asked_of_the_highest_rate_that_passed_a_search(result: Result) -> None:
    assert _status(result, Gate(min_attainment=0.9)) == 0
    named = [check.name for check in gate.checks(result, Gate(min_attainment=0.9)) if "min_attainment" in check.name]
    passed = next(entry.passed_rate for entry in result.goodputs if entry.quantile == 0.95)
    assert len(named) == 1
    assert f"{passed:g} req/s" in named[0]


@pytest.mark.parametrize(
    ("now", "holds", "said"),
    [
        (4.0, True, "the intervals overlap"),
        (5.0, True, "+25.0 %"),
        (3.7, True, "the intervals do not overlap"),
        (3.5, False, "-12.5 %"),
    ],
)
def test_a_loss_beyond_what_is_allowed_fails(
    result: Result, tmp_path: Path, now: float, holds: bool, said: str
) -> None:
    found = _compared(tmp_path, _with_goodput(result, 4.0), _with_goodput(result, now))
    assert [check.holds for check in found] == [holds]
    assert said in found[0].message


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("workload", "classes", 0, "ttft_seconds"), 0.3),
        (("workload", "classes", 0, "input", "median"), 12.0),
        (("arrivals", "kind"), "gamma"),
        (("kind",), "curve"),
    ],
)
def test_runs_that_were_not_asked_the_same_are_not_compared(
    result: Result, tmp_path: Path, keys: tuple[Any, ...], value: Any
) -> None:
    plan = copy.deepcopy(result.plan)
    part = plan
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    found = _compared(tmp_path, result, replace(result, plan=plan))
    assert [check.holds for check in found] == [False]
    assert "not comparable" in found[0].message
    assert str(keys[-1]) in found[0].message
    assert repr(value) in found[0].message


def test_neither_side_is_compared_without_a_verdict(result: Result, tmp_path: Path) -> None:
    assert "the baseline has no verdict" in _compared(tmp_path, _withheld(result), result)[0].message
    assert "this run has no verdict" in _compared(tmp_path, result, _withheld(result))[0].message


def test_a_curve_is_compared_rate_by_rate(result: Result, tmp_path: Path) -> None:
    curve = _searched_for_nothing(result)
    worse = replace(curve.probes[1], attainment=Interval(0.5, 0.4, 0.6))
    found = _compared(tmp_path, curve, replace(curve, probes=(curve.probes[0], worse)))
    assert [check.holds for check in found] == [True, False]


def test_another_machine_is_told_and_does_not_fail(result: Result, tmp_path: Path) -> None:
    found = _compared(tmp_path, result, replace(result, machine={"cpu": "another"}))
    assert found[0].holds
    assert "not the same machine: cpu" in found[0].message


def test_a_baseline_that_cannot_be_read_fails_by_its_name(result: Result, tmp_path: Path) -> None:
    assert _status(result, Gate(baseline=tmp_path / "gone.json")) == 1
    (check,) = compare(result, tmp_path / "gone.json", Gate())
    assert "gone.json" in check.message


def _compared(tmp_path: Path, before: Result, now: Result) -> list[Check]:
    json_file.write(tmp_path / "before.json", before)
    return compare(now, tmp_path / "before.json", Gate())
