"""What the plan's gate asks of a result, check by check, and the exit status; baselines are compared beside it."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.plan import Gate, Plan
from loadtest.report import units
from loadtest.report.baseline import compare
from loadtest.report.words import at_quantile, target_name, withheld_probes
from loadtest.results import Check, Goodput, ProbeResult, Result

HELD, FAILED, NO_VERDICT = 0, 1, 3


def checks(result: Result, gate: Gate) -> tuple[Check, ...]:
    """Verdict and cross-check always; limits and baseline where they are set."""
    asked = (*_verdict(result, gate), *_crosscheck(result), *_goodputs(result, gate), *_attainments(result, gate))
    return (*asked, *(compare(result, gate.baseline, gate) if gate.baseline else ()))


def exit_status(result: Result) -> int:
    """NO_VERDICT before FAILED: where the client was the limit, no other check says anything about the server."""
    gate = Plan.model_validate(result.plan).gate
    if not all(check.holds for check in _verdict(result, gate)):
        return NO_VERDICT
    return HELD if all(check.holds for check in result.checks) else FAILED


def _verdict(result: Result, gate: Gate) -> Iterator[Check]:
    plan = Plan.model_validate(result.plan)
    found = at_quantile(result, gate.quantile)
    if result.broken:
        yield Check("finished", False, result.broken)
    if result.goodputs and not found:
        there = ", ".join(f"{entry.quantile:g}" for entry in result.goodputs)
        yield Check("verdict", False, f"gate.quantile {gate.quantile:g} is none of search.quantiles ({there})")
    for entry in found:
        name = f"verdict, {target_name(plan, entry.target)}"
        yield Check(name, not entry.withheld, entry.withheld or f"there is one at q {entry.quantile:g}")
    if not result.goodputs:
        limited = withheld_probes(result)
        said = f"the client was the limit in {len(limited)} of {units.several(len(result.probes), 'probe')}"
        said = said if limited else "the client kept up in every probe"
        said = said if result.probes else "no probe was run"
        yield Check("verdict", bool(result.probes) and not limited, said)


def _crosscheck(result: Result) -> Iterator[Check]:
    if not result.crosscheck.checked:
        return
    wrong = [entry for entry in result.crosscheck.entries if not entry.holds]
    said = "; ".join(f"{entry.what}: client {entry.client:g}, server {entry.server:g}" for entry in wrong)
    yield Check("cross-check", not wrong, said or f"{len(result.crosscheck.entries)} comparisons hold")


def _goodputs(result: Result, gate: Gate) -> Iterator[Check]:
    if gate.min_goodput is None:
        return
    plan = Plan.model_validate(result.plan)
    found = at_quantile(result, gate.quantile)
    if not found:
        yield Check("min_goodput", False, f"a run of kind {plan.kind} looks for no goodput at q {gate.quantile:g}")
    for entry in found:
        holds = not entry.withheld and entry.rate.value >= gate.min_goodput
        yield Check(f"min_goodput, {target_name(plan, entry.target)}", holds, _against(entry, gate.min_goodput))


def _against(entry: Goodput, limit: float) -> str:
    if entry.withheld:
        return f"withheld: {entry.withheld}"
    unsure = "; the interval holds the limit" if entry.rate.low < limit <= entry.rate.high else ""
    return f"{units.rate(entry.rate.value)} ({units.span(entry.rate)}) against {units.digits(limit)}{unsure}"


def _attainments(result: Result, gate: Gate) -> Iterator[Check]:
    """A search goes beyond the knee on purpose: there the highest rate that passed is what is held to it."""
    if gate.min_attainment is None:
        return
    asked = _held_to_it(result, gate)
    if not asked:
        yield Check("min_attainment", False, f"no probe passed at q {gate.quantile:g}")
    for probe in asked:
        said = f"{units.share(probe.attainment.value)} ({units.share_span(probe.attainment)})"
        name = f"min_attainment at {units.digits(probe.offered_rate)} req/s, probe {probe.number}"
        holds = probe.attainment.value >= gate.min_attainment
        yield Check(name, holds, f"{said} against {units.quantile(gate.min_attainment)}")


def _held_to_it(result: Result, gate: Gate) -> list[ProbeResult]:
    if not result.goodputs:
        return list(result.probes)
    passed = {entry.target: entry.passed_rate for entry in at_quantile(result, gate.quantile)}
    last = {probe.target: probe for probe in result.probes if probe.offered_rate == passed.get(probe.target)}
    return list(last.values())
