"""The report as one HTML file that loads nothing: text and tables are written here, charts drawn by its own scripts."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.report import cards, tables, units
from loadtest.report.charts import charts
from loadtest.report.frame import Frame, asset, framed
from loadtest.report.markup import Child, Markup, element, joined, table
from loadtest.report.words import limits
from loadtest.results import Result

_SCRIPTS = ("draw", "explore", "curve", "floor", "scatter", "timeline", "waterfall", "page")


def write(path: Path, result: Result, rows: Rows) -> None:
    """To a file."""
    path.write_text(render(result, rows), encoding="utf-8")


def render(result: Result, rows: Rows) -> str:
    """The whole page. Its size does not grow with the rows beyond what the charts hold."""
    plan = Plan.model_validate(result.plan)
    frame = Frame(
        generator="tidegate bench",
        kicker="Goodput report",
        title=f"Goodput report: {_subject(plan)}",
        subject=_subject(plan),
        facts=_facts(plan, result, len(rows)),
        data=charts(result, rows),
        scripts=[asset(f"{name}.js") for name in _SCRIPTS],
    )
    return framed(frame, _sections(plan, result))


def _sections(plan: Plan, result: Result) -> str:
    return Template(asset("sections.html")).substitute(
        verdict=cards.verdict(result),
        probes=joined([tables.outcomes(result), tables.remarks(result), tables.times(result)]),
        classes=tables.classes(result),
        paired=_section("paired", "A against B", tables.paired(result)) if result.paired else "",
        cost=tables.cost(result),
        crosscheck=_section("crosscheck", "Cross-check with the servers", tables.crosscheck(result))
        if result.crosscheck.entries
        else "",
        plan=_plan(plan, result),
        notes=_notes(result),
    )


def _subject(plan: Plan) -> str:
    return " against ".join(target.name for target in plan.targets)


def _facts(plan: Plan, result: Result, requests: int) -> list[str]:
    return [
        f"{result.began[:16].replace('T', ' ')} UTC",
        units.seconds(result.seconds),
        units.several(len(result.probes), "probe"),
        units.several(requests, "request"),
        f"seed {plan.seed}",
    ]


def _section(name: str, title: str, body: Markup) -> Markup:
    return element("section", element("h2", title), body, id=name)


def _plan(plan: Plan, result: Result) -> Markup:
    machine = table(["what", "which"], [[key, value] for key, value in result.machine.items()], "Machine", 2)
    slos = "; ".join(limits(slo) for slo in dict.fromkeys(plan.slos()))
    asked = table(["what", "which"], [["SLO", slos], *_asked(plan)], "Plan", 2)
    whole = element("pre", json.dumps(result.plan, indent=1, ensure_ascii=False, default=str), tabindex="0")
    return joined(
        [
            element("div", asked, machine, class_="columns"),
            element("details", element("summary", "The whole plan"), whole),
        ]
    )


def _asked(plan: Plan) -> list[list[Child]]:
    targets = "; ".join(f"{target.name}: {target.base_url} {target.model}".strip() for target in plan.targets)
    probe = (
        f"{units.seconds(plan.probe_seconds)}, of which {units.seconds(plan.warmup_seconds)} of warm-up are not judged"
    )
    return [
        ["targets", targets],
        ["kind", plan.kind],
        ["arrivals", plan.arrivals.kind],
        ["history kept by", plan.workload.history],
        ["probe", probe],
        ["grace", units.seconds(plan.grace_seconds)],
        ["seed", str(plan.seed)],
    ]


def _notes(result: Result) -> Markup:
    if not result.notes:
        return element("p", "None.", class_="empty")
    return element("ul", *(element("li", note) for note in result.notes))
