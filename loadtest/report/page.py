"""The report as one HTML file that loads nothing: text and tables are written here, charts drawn by its own scripts."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from string import Template

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.report import cards, tables, units
from loadtest.report.charts import charts
from loadtest.report.markup import Child, Markup, element, joined, script_json, table
from loadtest.report.words import limits
from loadtest.results import Result

_SCRIPTS = ("draw", "explore", "curve", "floor", "scatter", "timeline", "waterfall", "page")


def write(path: Path, result: Result, rows: Rows) -> None:
    """To a file."""
    path.write_text(render(result, rows), encoding="utf-8")


def render(result: Result, rows: Rows) -> str:
    """The whole page. Its size does not grow with the rows beyond what the charts hold."""
    style = _asset("page.css")
    script = '"use strict";\n' + "".join(_asset(f"{name}.js") for name in _SCRIPTS)
    plan = Plan.model_validate(result.plan)
    return Template(_asset("page.html")).substitute(
        csp=_policy(script, style),
        title=element("title", f"Goodput report: {_subject(plan)}"),
        style=style,
        script=script,
        data=script_json(charts(result, rows)),
        heading=_heading(plan, result, len(rows)),
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


def _asset(name: str) -> str:
    return resources.files("loadtest.report").joinpath("assets", name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """Nothing is loaded and nothing runs but these two."""
    allowed = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    """As a content security policy names the one inline text that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _subject(plan: Plan) -> str:
    return " against ".join(target.name for target in plan.targets)


def _heading(plan: Plan, result: Result, requests: int) -> Markup:
    facts = [
        f"{result.began[:16].replace('T', ' ')} UTC",
        units.seconds(result.seconds),
        units.several(len(result.probes), "probe"),
    ]
    facts += [units.several(requests, "request"), f"seed {plan.seed}"]
    return joined([element("h1", _subject(plan)), element("p", " \N{MIDDLE DOT} ".join(facts), class_="facts")])


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
