"""A replay as one HTML file that loads nothing and runs nothing: its charts are drawn here; it judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autoscale.replay.chart import Line, chart
from autoscale.replay.recording import Span
from autoscale.replay.what_if import Change, Step
from loadtest.report import units
from loadtest.report.frame import asset, policy
from loadtest.report.markup import Child, Markup, element, joined, table

SHOWN_CHANGES = 500
_STYLE = """
svg { width: 100%; height: auto; display: block; margin: 4px 0 14px; }
svg .wanted { stroke: var(--target-1); stroke-width: 1.5; fill: none; }
svg .recorded { stroke: var(--target-0); stroke-width: 1.5; fill: none; stroke-dasharray: 5 3; }
svg .reading { stroke: var(--accent); stroke-width: 1.2; fill: none; }
.wanted-key { color: var(--target-1); font-weight: 600; } .recorded-key { color: var(--target-0); font-weight: 600; }
#changes table { width: auto; min-width: 460px; }
"""


class Replayed(NamedTuple):
    """What a replay has to show."""

    name: str
    span: Span
    steps: Sequence[Step]
    changes: Sequence[Change]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]


def write(of: Replayed, path: Path) -> None:
    path.write_text(render(of), encoding="utf-8")


def render(of: Replayed) -> str:
    """The whole page."""
    style = asset("page.css") + _STYLE
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy(style)}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"Replay of {of.name}"),
        Markup(f"<style>{style}</style>"),
    )
    sections = (_replicas(of), _changes(of), _signals(of), _facts(of))
    return f'<!doctype html>\n<html lang="en">{head}{element("body", _header(of), element("main", *sections))}</html>\n'


def _header(of: Replayed) -> Markup:
    extent = f"{of.span.moment(0)} to {of.span.moment(of.span.steps - 1)}"
    texts = (element("p", "Scaling replay", class_="kicker"), element("h1", f"What {of.name} would have asked for"))
    return element("header", element("div", *texts, element("p", extent, class_="facts")))


def _replicas(of: Replayed) -> Markup:
    lead = element(
        "p",
        element("span", "What it would have asked for", class_="wanted-key"),
        " and ",
        element("span", "what was there", class_="recorded-key"),
        ". The answers stay as they were recorded: load that other counts would have changed is still in them.",
        class_="lead",
    )
    times = [step.seconds for step in of.steps]
    lines = (
        Line("recorded", [None if step.recorded is None else float(step.recorded) for step in of.steps]),
        Line("wanted", [float(step.wanted) for step in of.steps]),
    )
    return element("section", element("h2", "Replicas"), lead, chart("replicas", times, lines, of.span), id="replicas")


def _changes(of: Replayed) -> Markup:
    if not of.changes:
        return element(
            "section", element("h2", "Why"), element("p", "It changed nothing.", class_="empty"), id="changes"
        )
    many = (
        f"The first {SHOWN_CHANGES} of {len(of.changes)} changes" if len(of.changes) > SHOWN_CHANGES else "Every change"
    )
    rows = [_change(change, of.span) for change in of.changes[:SHOWN_CHANGES]]
    shown = table(["when", "from", "to", "because of", "reading"], rows, many)
    return element("section", element("h2", "Why"), shown, id="changes")


def _change(change: Change, span: Span) -> list[Child]:
    reading = units.ABSENT if change.reading is None else units.digits(change.reading)
    return [span.at(change.seconds), str(change.before), str(change.after), change.why or units.ABSENT, reading]


def _signals(of: Replayed) -> Markup:
    synced = [step for step in of.steps if step.readings]
    times = [step.seconds for step in synced]
    names = list(dict.fromkeys(name for step in synced for name in step.readings))
    drawn = [
        joined(
            [
                element("h3", name),
                chart(name, times, [Line("reading", [s.readings.get(name) for s in synced])], of.span),
            ]
        )
        for name in names
    ]
    return element("section", element("h2", "Signals"), *drawn, id="signals")


def _facts(of: Replayed) -> Markup:
    notes = element("ul", *(element("li", note) for note in of.notes), class_="remarks")
    rows = [list(fact) for fact in of.facts]
    return element(
        "section", element("h2", "Facts"), table(["what", "which"], rows, "This replay", 2), notes, id="plan"
    )
