"""Everything that the page's charts draw, as one tree of plain values: small however many requests there were."""

from __future__ import annotations

import math
from typing import Any

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.report.judged import judged
from loadtest.report.scatter import scatter
from loadtest.report.timeline import timeline
from loadtest.report.waterfall import waterfall
from loadtest.report.words import by_rate
from loadtest.results import Floor, Goodput, Interval, ProbeResult, Result
from loadtest.slo import Outcome


def charts(result: Result, rows: Rows) -> dict[str, Any]:
    """What the scripts beside find in the page."""
    found = judged(result, rows)
    plan = Plan.model_validate(result.plan)
    return {
        "outcomes": [code.name.lower() for code in Outcome],
        "targets": [target.name for target in plan.targets],
        "quantile": plan.gate.quantile,
        "quantiles": list(plan.search.quantiles),
        "probes": [_probe(probe) for probe in result.probes],
        "curve": [_place(result, *entry) for entry in by_rate(result)],
        "goodputs": [_goodput(entry) for entry in result.goodputs],
        "scatter": scatter(found, plan.seed),
        "timeline": timeline(result, found),
        "waterfall": waterfall(result, found),
        "floors": [_floor(plan, floor) for floor in result.floors],
    }


def _probe(probe: ProbeResult) -> dict[str, Any]:
    return {"number": probe.number, "target": probe.target, "rate": probe.offered_rate}


def _place(result: Result, first: ProbeResult, held: Interval, count: int) -> dict[str, Any]:
    """A place on the curve: the probes of a target at a rate, as if they were one."""
    own = [p for p in result.probes if (p.target, p.offered_rate) == (first.target, first.offered_rate)]
    window = sum(probe.window_seconds for probe in own) or math.nan
    return {
        "target": first.target,
        "rate": first.offered_rate,
        "scheduled": _number(sum(probe.scheduled_rate * probe.window_seconds for probe in own) / window),
        "good": _number(sum(probe.good_rate * probe.window_seconds for probe in own) / window),
        "attainment": [_number(end) for end in (held.value, held.low, held.high)],
        "probes": [probe.number for probe in own],
        "verdicts": first.verdicts if count == 1 else {},
        "early": first.ended_early,
    }


def _goodput(entry: Goodput) -> dict[str, Any]:
    return {
        "target": entry.target,
        "quantile": entry.quantile,
        "rate": [_number(end) for end in (entry.rate.value, entry.rate.low, entry.rate.high)],
        "bound": entry.failed_rate is None,
        "withheld": entry.withheld,
    }


def _floor(plan: Plan, floor: Floor) -> dict[str, Any]:
    limits = [{"name": slo.name, "ttft": slo.ttft_seconds} for slo in plan.slos() if slo.ttft_seconds]
    return {
        "target": floor.target,
        "points": [[tokens, _number(ttft)] for tokens, ttft in floor.points],
        "base": _number(floor.base_seconds),
        "per_token": _number(floor.per_token_seconds),
        "limits": limits,
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
