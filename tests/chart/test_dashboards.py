"""Dashboards ask for recorded names only, and every recorded name that they ask for is one that the rules record."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscale import signals
from tests.chart.rules_world import groups, labelled, world
from tests.support import promtool
from tests.support.helm import ROOT, render
from tests.support.tiers import require

FILES = sorted((ROOT / "charts/tidegate/dashboards").glob("*.json"))
# What Grafana puts in before Prometheus sees the query.
_GRAFANA = {"$__range": "6h", "$namespace": ".*", "$model": ".*", "$class": ".*", "$team": ".*"}
_METRIC = re.compile(r"(?<![\w:])([a-zA-Z_][\w]*:[\w:]+|(?:tidegate|vllm)_\w+)")


def dashboard(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def queries(file: Path) -> Iterator[str]:
    content = dashboard(file)
    for panel in content["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in content["templating"]["list"]:
        if variable["type"] == "query":
            yield re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])[1]


def recorded() -> set[str]:
    file = signals.load()
    every = [rule for rules in file.recorded.values() for rule in rules]
    return {
        re.sub(r"<<(\w+)>>", lambda found, one=one: str(one[found[1]]), rule.name)
        for rule in every
        for one in rule.each
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_asks_for_recorded_names_only(file: Path) -> None:
    asked = {name for query in queries(file) for name in _METRIC.findall(query)}

    assert asked
    assert asked <= recorded()


def test_every_recorded_name_is_seen_on_a_dashboard_or_used_by_an_alert() -> None:
    text = " ".join(query for file in FILES for query in queries(file))
    alerts = " ".join(
        re.sub(r"<<(\w+)>>", lambda found, one=one: str(one.get(found[1], found[0])), alert.expr)
        for alert in signals.load().alerts
        for one in alert.each
    )

    assert recorded() - set(_METRIC.findall(text + " " + alerts)) == set()


@pytest.mark.promtool
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prometheus_parses_every_query_of_a_dashboard(file: Path, tmp_path: Path) -> None:
    require("promtool", shutil.which("promtool") is not None)
    rules = [{"record": "a:b", "expr": _filled(query)} for query in queries(file)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))

    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=none", str(tmp_path / "rules.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_lie_side_by_side_and_say_what_they_show(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(file)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        taken |= cells


def test_dashboards_have_their_own_uid_and_title() -> None:
    seen = [dashboard(file) for file in FILES]

    assert len({one["uid"] for one in seen}) == len({one["title"] for one in seen}) == len(FILES) == 5
    assert [one["uid"] for one in seen] == [file.stem for file in FILES]


@pytest.mark.promtool
def test_a_selected_team_s_share_of_the_window_is_of_all_teams_tokens(tmp_path: Path) -> None:
    require("promtool", shutil.which("promtool") is not None)
    tenants = next(file for file in FILES if file.stem == "tidegate-tenants")
    panel = next(one for one in dashboard(tenants)["panels"] if one["title"].endswith("in the window"))
    query = _filled(panel["targets"][0]["expr"].replace("$team", "web"))

    promtool.expect(tmp_path, groups(), world(), {query: labelled({'model="",team="web"': 0.75})}, at_seconds=3600)


def test_each_dashboard_is_a_config_map_that_grafana_s_sidecar_finds() -> None:
    every = render("charts/tidegate").of("ConfigMap")
    rendered = [one for one in every if one["metadata"]["labels"].get("grafana_dashboard") == "1"]
    held = {name: json.loads(text) for one in rendered for name, text in one["data"].items()}

    assert held == {file.name: dashboard(file) for file in FILES}
    assert len({one["metadata"]["name"] for one in rendered}) == len(FILES)


def _filled(query: str) -> str:
    for name, text in _GRAFANA.items():
        query = query.replace(name, text)
    assert "$" not in query, query
    return query
