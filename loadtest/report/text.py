"""The summary that the console shows at the end: some fifteen lines; it says no more than the page does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from loadtest.plan import Plan
from loadtest.report import units
from loadtest.report.words import by_rate, figure, goodput_words, statements, target_name
from loadtest.results import Goodput, Interval, ProbeResult, Result

_SIGNS = {"good": "ok", "bad": "NO", "warn": "! ", "plain": "  "}
_WIDTH = 110
_LABEL = 12


def summary(result: Result, folder: Path | None = None) -> str:
    """Without colour; the gate's quantile is starred."""
    plan = Plan.model_validate(result.plan)
    probes = units.several(len(result.probes), "probe")
    lines = [
        f"tidegate bench {plan.kind}: {_names(plan)}, {probes}, {units.seconds(result.seconds)}",
        "",
    ]
    lines += [_goodput(plan, entry) for entry in result.goodputs]
    lines += _withheld(result.goodputs)
    if not result.goodputs:
        lines += [_rate(plan, *entry) for entry in by_rate(result)]
    lines += [*_paired(plan, result), ""]
    for entry in statements(result):
        first = f"  {_SIGNS[entry.tone]} {entry.about:<{_LABEL}}"
        lines += textwrap.wrap(entry.text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first)) or [first]
    if folder:
        lines += ["", f"report: {folder / 'report.html'}"]
    return "\n".join(lines)


def _names(plan: Plan) -> str:
    return " against ".join(target.name for target in plan.targets)


def _goodput(plan: Plan, entry: Goodput) -> str:
    who = f"{target_name(plan, entry.target):<14}" if len(plan.targets) > 1 else ""
    star = "*" if abs(entry.quantile - plan.gate.quantile) < 1e-9 else " "
    if entry.withheld:
        return f"  {star} {who}goodput at {units.quantile(entry.quantile):>5}  no verdict"
    interval = f"({units.span(entry.rate)})"
    value = f"{figure(entry):>7} req/s  {interval:<16}"
    return f"  {star} {who}goodput at {units.quantile(entry.quantile):>5}  {value} {goodput_words(entry)}"


def _withheld(goodputs: Sequence[Goodput]) -> list[str]:
    """Why, once: quantiles of one search mostly share the reason."""
    reasons = dict.fromkeys(entry.withheld for entry in goodputs if entry.withheld)
    return [
        line
        for reason in reasons
        for line in textwrap.wrap(reason, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    ]


def _rate(plan: Plan, probe: ProbeResult, held: Interval, count: int) -> str:
    who = f"{target_name(plan, probe.target):<14}" if len(plan.targets) > 1 else ""
    rate = f"{units.rate(probe.offered_rate):>12}  {units.share(held.value):>7} good ({units.share_span(held)})"
    if count > 1:
        return f"    {who}{rate}  in {units.several(count, 'probe')}"
    return f"    {who}{rate}  TTFT p50 {units.seconds(probe.ttft.p50)}, p99 {units.seconds(probe.ttft.p99)}"


def _paired(plan: Plan, result: Result) -> list[str]:
    pair = result.paired
    if pair is None:
        return []
    shown = [("TTFT p50", pair.ttft_p50_ratio), ("p99", pair.ttft_p99_ratio), ("TPOT p50", pair.tpot_p50_ratio)]
    said = ", ".join(f"{name} {units.ratio(part.value)} ({units.span(part)})" for name, part in shown)
    return [f"    {target_name(plan, 1)} over {target_name(plan, 0)}: {said}"]
