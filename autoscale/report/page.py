"""The comparison as one HTML file that loads nothing: tables are written here, charts drawn by its own scripts."""

from __future__ import annotations

from pathlib import Path
from string import Template

from autoscale.report.charts import charts
from autoscale.report.why import Change, changes, drivers
from autoscale.simulate.run_result import Comparison, Run
from loadtest.report import units
from loadtest.report.frame import Frame, asset, framed
from loadtest.report.markup import Child, Markup, element, joined, table

SHOWN_CHANGES = 60
_OWN = "autoscale.report"


def write(comparison: Comparison, path: Path) -> None:
    """To a file."""
    path.write_text(render(comparison), encoding="utf-8")


def render(comparison: Comparison) -> str:
    """The whole page."""
    subject = f"Scaling laws on the trace {comparison.trace}"
    requests = units.count(comparison.runs[0].totals.requests)
    frame = Frame(
        generator="tidegate scale simulate",
        kicker="Scaling simulation",
        title=subject,
        subject=subject,
        facts=[comparison.about, f"{requests} requests", f"seed {comparison.runs[0].seed}"],
        data=charts(comparison),
        scripts=[asset("draw.js"), asset("explore.js"), asset("laws.js", _OWN)],
        style=asset("laws.css", _OWN),
    )
    return framed(frame, _sections(comparison))


def _sections(comparison: Comparison) -> str:
    return Template(asset("sections.html", _OWN)).substitute(
        laws=_laws(comparison),
        why=joined(_why(run) for run in comparison.runs if run.steps.signals),
        facts=table(["what", "which"], [[name, said] for name, said in comparison.facts.items()], "Assumptions", 2),
    )


def _laws(comparison: Comparison) -> Markup:
    headers = ["law", "score", "attainment", "GPU-hours", "to the oracle", "refused", "flips", "per load change"]
    headers += ["most replicas", "recovery"]
    ranked = sorted(comparison.runs, key=lambda run: -comparison.scores[run.law].score)
    caption = f"Best score first; the load turned {units.several(comparison.load_changes, 'time')}"
    return table([*headers], [_row(comparison, run) for run in ranked], caption)


def _row(comparison: Comparison, run: Run) -> list[Child]:
    score, totals = comparison.scores[run.law], run.totals
    return [
        element("span", run.law, title=run.about),
        f"{score.score:.3f}",
        units.share(totals.attainment),
        units.digits(totals.gpu_hours),
        units.ratio(score.gpu_ratio),
        units.count(totals.rejected),
        units.count(totals.flips),
        units.digits(score.flips_per_change),
        units.count(totals.most_replicas),
        units.seconds(totals.recovery_seconds),
    ]


def _why(run: Run) -> Markup:
    found = changes(run)
    sums = [[why, units.count(up), units.count(down)] for why, (up, down) in drivers(run).items()]
    if not found:
        return joined([element("h3", run.law), element("p", "It changed nothing.", class_="empty")])
    shown = table(
        ["when", "from", "to", "because of", "reading"],
        [_change(change) for change in found[:SHOWN_CHANGES]],
        f"The first {SHOWN_CHANGES} of {len(found)} changes" if len(found) > SHOWN_CHANGES else "Every change",
    )
    return joined(
        [
            element("h3", run.law),
            element("p", run.about, class_="lead"),
            table(["trigger", "steps up", "steps down"], sums, "What was behind its steps"),
            element("details", element("summary", units.several(len(found), "change")), shown),
        ]
    )


def _change(change: Change) -> list[Child]:
    minutes = int(change.seconds // 60)
    when = f"{minutes // 60}:{minutes % 60:02d}:{int(change.seconds % 60):02d}"
    reading = units.ABSENT if change.reading is None else units.digits(change.reading)
    return [when, str(change.before), str(change.after), change.why or units.ABSENT, reading]
