"""Our own ScaledObject, as the chart renders it, is without a finding, can be decided, and moves as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoscale import signals
from autoscale.decide.controller import Controller
from autoscale.decide.read import read
from autoscale.decide.reading import ERROR, Workload
from autoscale.lint.check import lint
from autoscale.lint.finding import Context
from tests.support.helm import render

EXPOSITION, FRONT = (
    (Path(__file__).parents[1] / "data" / "expositions" / f"{name}.txt").read_text(encoding="utf-8")
    for name in ("engine_busy", "front")
)
QUIET = dict.fromkeys(signals.load().signals, 0.0)


def rendered(source: str, least: int) -> dict[str, Any]:
    target = {"name": "qwen", "workload": "cell", "model": "tiny", "source": source, "minReplicas": least}
    return render("keda", {"targets": [{**target, "maxReplicas": 20}]}).one("ScaledObject")


@pytest.mark.parametrize(("source", "least"), [("front", 0), ("front", 1), ("engine", 1)])
def test_the_linter_finds_nothing(source: str, least: int) -> None:
    context = Context(exposition=EXPOSITION, ttft_slo_seconds=0.5, tpot_slo_seconds=0.05, start_seconds=180)
    assert lint([rendered(source, least)], context) == []


def test_the_linter_finds_nothing_in_a_whole_release_the_fronts_own_scaling_included() -> None:
    release = render("charts/tidegate").objects
    context = Context(exposition=EXPOSITION + FRONT, ttft_slo_seconds=0.5, tpot_slo_seconds=0.05, start_seconds=180)

    assert {one["metadata"]["name"] for one in release if one["kind"] == "ScaledObject"} == {
        *("chat-front", "chat-engine-qwen3-8b")
    }
    assert lint(release, context) == []


def test_the_fronts_query_is_looked_up_in_an_exposition_too() -> None:
    front = render("charts/tidegate").one("ScaledObject", "-front")
    renamed = FRONT.replace("tidegate_requests_in_flight", "tidegate_requests_in_air")

    assert [finding.rule for finding in lint([front], Context(exposition=renamed))] == ["series-absent"]


def test_demand_wakes_grows_and_lets_go() -> None:
    controller = Controller(read(rendered("front", 0)))
    assert controller.poll(0.0, QUIET, Workload(0, 0, 0)).replicas is None
    busy = {**QUIET, "prefill": 3.4, "decode": 0.8, "asked": 40.0}
    assert controller.poll(5.0, busy, Workload(0, 0, 0)).replicas == 1
    assert controller.sync(15.0, busy, Workload(1, 1, 0)).replicas == 5
    for second in range(30, 195, 15):
        assert controller.sync(float(second), QUIET, Workload(5, 5, 5)).replicas is None
    assert controller.sync(195.0, QUIET, Workload(5, 5, 5)).replicas == 1


def test_an_outage_of_prometheus_changes_nothing() -> None:
    controller = Controller(read(rendered("front", 0)))
    away = dict.fromkeys(QUIET, ERROR)
    controller.poll(0.0, {**QUIET, "prefill": 7.5, "asked": 9.0}, Workload(8, 8, 8))
    for second in range(5, 600, 5):
        assert controller.poll(float(second), away, Workload(8, 8, 8)).replicas is None
        if second % 15 == 0:
            assert controller.sync(float(second), away, Workload(8, 8, 8)).replicas is None
