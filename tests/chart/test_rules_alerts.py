"""Each alert fires on the trouble it is for and is silent beside it, on the series of two fronts and two engines."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from autoscale import signals
from tests.chart.rules_world import data, groups, world
from tests.support import promtool
from tests.support.tiers import require

pytestmark = pytest.mark.promtool
CASES = data("alerts")


@pytest.fixture(autouse=True)
def _promtool() -> None:
    require("promtool", shutil.which("promtool") is not None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['alert']}: {case['name']}")
def test_an_alert_fires_on_its_trouble_only(case: dict[str, Any], tmp_path: Path) -> None:
    common = {} if case.get("bare") else {"namespace": "prod", "model": "m"}
    firing = f'ALERTS{{alertname="{case["alert"]}",alertstate="firing"}}'
    expected = dict(_firing(case["alert"], common | labels) for labels in case["fires"])

    promtool.expect(
        tmp_path,
        groups(),
        world(case["change"]),
        {firing: expected},
        at_seconds=case.get("at", 2100),
        step_seconds=case.get("step", 30),
    )


def test_a_healthy_hour_is_silent(tmp_path: Path) -> None:
    promtool.expect(tmp_path, groups(), world(), {'ALERTS{alertstate="firing"}': {}}, at_seconds=3600, step_seconds=60)


def test_every_alert_is_seen_firing_and_silent() -> None:
    names = {alert.name for alert in signals.load().alerts}

    assert {case["alert"] for case in CASES if case["fires"]} == names
    assert {case["alert"] for case in CASES if not case["fires"]} == names


def test_an_alert_says_how_bad_it_is_and_where_its_page_is(tmp_path: Path) -> None:
    bad = world({"slo_good.*f0": 0.2, "slo_good.*f1": 0.6})
    base = "https://wiki.example/runbooks"
    said = {
        "exp_labels": {"namespace": "prod", "model": "m", "class": "chat", "severity": "page", "long_window": "1h"},
        "exp_annotations": {
            "summary": "Too few answers of m (chat) are good",
            "description": "Over 1h the error budget of m, class chat, burned more than 14.4 times as fast as its "
            "objective of 0.95 allows, and it still does (5m). 80% of its requests were not good.",
            "runbook_url": f"{base}/TidegateGoodputBurn.md",
        },
    }
    alerts = [{"alertname": "TidegateGoodputBurn", "eval_time": "300s", "exp_alerts": [said]}]

    promtool.expect(tmp_path, groups(rules={"runbookBase": base}), bad, {}, at_seconds=300, alerts=alerts)


def _firing(alert: str, labels: dict[str, str]) -> tuple[str, float]:
    named = {"alertname": alert, "alertstate": "firing"} | labels
    return "{" + ",".join(f'{name}="{text}"' for name, text in named.items()) + "}", 1.0
