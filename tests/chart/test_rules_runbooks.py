"""Every alert has a page, every page an alert; what a page tells one to ask or to run exists."""

import json
import re
import shutil
from pathlib import Path

import pytest

from autoscale import signals
from tests.chart.rules_world import data, groups
from tests.support import promtool
from tests.support.helm import ROOT
from tests.support.tiers import require

PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
_SECTIONS = ["What users see", "Look here first", "Fix", "How it was tested"]


def asked(page: Path) -> list[str]:
    blocks = re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    alerts = [rule for group in groups() for rule in group["rules"] if "alert" in rule]

    assert {page.stem for page in PAGES} == {alert.name for alert in signals.load().alerts}
    assert {Path(alert["annotations"]["runbook_url"]).name for alert in alerts} == {page.name for page in PAGES}
    assert {alert["labels"]["severity"] for alert in alerts} == {"page", "ticket"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_users_see_where_to_look_and_what_to_do(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == _SECTIONS
    assert text.startswith(f"# {page.stem}\n")
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (page.parent / link).exists()] == []


@pytest.mark.promtool
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_tells_one_to_ask_is_a_query_on_series_that_exist(page: Path, tmp_path: Path) -> None:
    require("promtool", shutil.which("promtool") is not None)
    known = {*data("recorded"), *(name.split("{")[0] for name in data("world"))}
    names = {name for query in asked(page) for name in re.findall(r"\b(?:tidegate|vllm)[:_][\w:]+", query)}

    assert asked(page)
    assert names <= known
    promtool.check(tmp_path, [{"name": "asked", "rules": [{"record": "a", "expr": query} for query in asked(page)]}])


def test_values_that_pages_name_are_values_of_a_chart_or_settings() -> None:
    """`a.b` in code on a page: a key of values.yaml, of the settings, or a parameter of signals.yaml."""
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8") + json.dumps(
        [(ROOT / chart / "values.yaml").read_text(encoding="utf-8") for chart in ("charts/tidegate", "keda")]
    )
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`([a-z]+\.[a-zA-Z_.]+)`", page.read_text(encoding="utf-8"))
        if not name.endswith((".yaml", ".py"))
    }

    assert named
    assert {name for name in named if name.split(".")[-1] not in text} - {"slo.objective"} == set()
