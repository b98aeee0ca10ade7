"""Whether a run is worse than an earlier one that was asked the same; refuses to compare what is not alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtest.plan import Gate, Plan
from loadtest.report import json_file, units
from loadtest.report.words import at_quantile, target_name
from loadtest.results import Check, Interval, Result

_SAME = ("kind", "workload", "arrivals")
_NAME = "baseline"


def compare(result: Result, baseline_path: Path, gate: Gate) -> list[Check]:
    """Goodput at the gate's quantile by target; good rate by probe where nothing was searched for."""
    try:
        earlier = json_file.read(baseline_path)
    except json_file.ResultFileError as error:
        return [Check(_NAME, False, str(error))]
    unlike = _first_difference(earlier, result)
    if unlike:
        return [Check(_NAME, False, f"not comparable: {unlike}; record a baseline with this plan")]
    pairs = list(_goodputs(earlier, result, gate) if result.goodputs else _probes(earlier, result))
    if not pairs:
        return [Check(_NAME, False, "not comparable: no target or rate is in both; record a baseline with this plan")]
    return [_check(name, before, now, gate, _elsewhere(earlier, result)) for name, before, now in pairs]


def _first_difference(earlier: Result, result: Result) -> str:
    """SLOs are part of the workload: they hang on its classes."""
    for key in _SAME:
        for where, before, now in _differences(earlier.plan.get(key), result.plan.get(key), key):
            return f"{where} was {before!r}, is {now!r}"
    return ""


def _differences(before: Any, now: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}")
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
        for at, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(one, other, f"{where}[{at}]")
    elif before != now:
        yield where, before, now


def _goodputs(earlier: Result, result: Result, gate: Gate) -> Iterator[tuple[str, Interval | str, Interval | str]]:
    plan = Plan.model_validate(result.plan)
    before = {entry.target: entry for entry in at_quantile(earlier, gate.quantile)}
    for entry in at_quantile(result, gate.quantile):
        if entry.target in before:
            old = before[entry.target]
            name = f"{_NAME}, goodput of {target_name(plan, entry.target)} at q {gate.quantile:g}"
            yield name, old.withheld or old.rate, entry.withheld or entry.rate


def _probes(earlier: Result, result: Result) -> Iterator[tuple[str, Interval | str, Interval | str]]:
    """The good rate's interval follows from the attainment's."""
    plan = Plan.model_validate(result.plan)
    before = {(probe.target, probe.offered_rate): probe for probe in earlier.probes}
    for probe in result.probes:
        old = before.get((probe.target, probe.offered_rate))
        if old:
            name = f"{_NAME}, good rate of {target_name(plan, probe.target)} at {units.rate(probe.offered_rate)}"
            yield name, _scaled(old.attainment, old.scheduled_rate), _scaled(probe.attainment, probe.scheduled_rate)


def _scaled(share: Interval, rate: float) -> Interval:
    return Interval(share.value * rate, share.low * rate, share.high * rate)


def _check(name: str, before: Interval | str, now: Interval | str, gate: Gate, elsewhere: str) -> Check:
    if isinstance(before, str):
        return Check(name, False, f"the baseline has no verdict: {before}")
    if isinstance(now, str):
        return Check(name, False, f"this run has no verdict: {now}")
    loss = 1 - now.value / before.value if before.value > 0 else 0.0
    # An upper end that is open is NaN once it has been through a file.
    overlap = not now.low > before.high and not before.low > now.high
    change = f"{-loss * 100:+.1f} %" if before.value > 0 else "was 0"
    said = (
        f"{units.rate(now.value)} ({units.span(now)}) after {units.rate(before.value)} ({units.span(before)}), {change}"
    )
    sure = "the intervals overlap" if overlap else "the intervals do not overlap"
    allowed = f"{units.quantile(gate.max_regression)} loss allowed"
    return Check(name, not loss > gate.max_regression, f"{said}; {allowed}; {sure}{elsewhere}")


def _elsewhere(earlier: Result, result: Result) -> str:
    changed = [key for key, value in result.machine.items() if earlier.machine.get(key, value) != value]
    return f"; not the same machine: {', '.join(changed)}" if changed else ""
