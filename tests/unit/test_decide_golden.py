"""KEDA's and the HPA's arithmetic, held to vectors from their own tests and sources (tests/data/golden names each)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscale.decide.behavior import Pace
from autoscale.decide.decision import Metric
from autoscale.decide.formula import FormulaError, compile_formula
from autoscale.decide.hpa import Hpa
from autoscale.decide.keda import Keda
from autoscale.decide.read import read
from autoscale.decide.read_behavior import DEFAULT_DOWN, DEFAULT_UP
from autoscale.decide.reading import Answer, Odd, Workload
from autoscale.decide.spec import Behavior, HpaSettings, Policy, Rules, ScaledObject

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
Case = dict[str, Any]
NOW = 10_000.0


def cases(file: str) -> list[Any]:
    found = yaml.safe_load((GOLDEN / f"{file}.yaml").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=str(case.get("name", case.get("formula")))) for case in found]


def answer(value: Any) -> Answer:
    return Odd[value] if value in Odd.__members__ else float(value)


def scaled_object(triggers: list[dict[str, Any]], **spec: Any) -> ScaledObject:
    made = [
        {"type": "prometheus", **each, "metadata": {"serverAddress": "http://p", "query": "q", **each["metadata"]}}
        for each in triggers
    ]
    document = {"kind": "ScaledObject", "metadata": {"name": "x"}, "spec": {"triggers": made, **spec}}
    document["spec"]["scaleTargetRef"] = {"name": "x"}
    return read(document)


def rules(default: Rules, numbers: list[int] | None, select: Any) -> Rules:
    if numbers is None:
        return default
    pods, pods_period, percent, percent_period = numbers
    policies = [Policy("Pods", pods, pods_period)] if pods else []
    policies += [Policy("Percent", percent, percent_period)] if percent else []
    return Rules(0, select, tuple(policies))


def spread(changes: list[int], seconds: float) -> list[tuple[float, int]]:
    width = seconds / max(len(changes), 1)
    return [(seconds - width * (index + 0.5), change) for index, change in enumerate(changes)]


@pytest.mark.parametrize("case", cases("policies"))
def test_policies_minimum_and_maximum_bound_a_change(case: Case) -> None:
    up = rules(DEFAULT_UP, case.get("up"), case.get("select", "Max"))
    down = rules(DEFAULT_DOWN, case.get("down"), case.get("select", "Max"))
    pace = Pace(None if case.get("legacy") else Behavior(up, down), HpaSettings())
    for ago, change in case.get("ups_at", []) + spread(case.get("ups", []), case.get("spread", 0)):
        pace.changed(NOW - ago, 500, 500 + change)
    for ago, change in case.get("downs_at", []) + spread(case.get("downs", []), case.get("spread", 0)):
        pace.changed(NOW - ago, 500, 500 - change)
    got = pace.limit(NOW, case["current"], case["wanted"], case["min"], case["max"])
    assert got == (case["replicas"], case["limit"])


@pytest.mark.parametrize("case", cases("windows"))
def test_windows_hold_a_wish(case: Case) -> None:
    behavior = None
    if not case.get("legacy"):
        policies = (Policy("Percent", 100, 15),)
        behavior = Behavior(Rules(case["up"], "Max", policies), Rules(case["down"], "Max", policies))
    pace = Pace(behavior, HpaSettings())
    for ago, wish in case["earlier"]:
        pace.stabilize(NOW - ago, wish, wish)
    assert pace.stabilize(NOW, case["current"], case["wanted"]) == case["replicas"]


@pytest.mark.parametrize("case", cases("proposals"))
def test_a_metric_asks_for_replicas(case: Case) -> None:
    tolerances = {name: case[key] for name, key in (("scaleUp", "up"), ("scaleDown", "down")) if key in case}
    behavior = {name: {"tolerance": str(value)} for name, value in tolerances.items()}
    trigger = {"metricType": case["type"], "metadata": {"threshold": "1"}}
    spec = scaled_object([trigger], advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior or None}})
    metric = Metric("m", case["type"], case["target"], case["value"])
    decision = Hpa(spec).sync(NOW, [metric], Workload(*case["pods"]))
    assert decision.proposals[0].replicas == case["replicas"]


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_becomes_thousandths(case: Case) -> None:
    ignore_null = str(case.get("ignore_null", True)).lower()
    spec = scaled_object([{"metadata": {"threshold": "1", "ignoreNullValues": ignore_null}}])
    metrics, _ = Keda(spec).metrics({"s0-prometheus": answer(case["answer"])}, Workload(1, 1, 1))
    assert metrics[0].value_milli == case["milli"]


@pytest.mark.parametrize("case", cases("fallbacks"))
def test_failures_in_a_row_lead_to_the_fallback(case: Case) -> None:
    extra: dict[str, Any] = {}
    if "fallback" in case:
        threshold, replicas, behavior = case["fallback"]
        extra["fallback"] = {"failureThreshold": threshold, "replicas": replicas, "behavior": behavior}
    kind = case.get("type", "AverageValue")
    if "modifiers" in case:
        modifiers = {"formula": case.get("formula", "a"), "target": case["modifiers"], "metricType": kind}
        extra["advanced"] = {"scalingModifiers": modifiers}
    keda = Keda(
        scaled_object([{"name": "a", "metricType": kind, "metadata": {"threshold": case["threshold"]}}], **extra)
    )
    workload = Workload(*case["pods"])
    for _ in range(case["failures"] - 1):
        keda.metrics({"a": Odd.ERROR}, workload)
    metrics, signals = keda.metrics({"a": Odd.ERROR}, workload)
    assert metrics[0].value_milli == case["milli"]
    assert keda.metrics({"a": 0.0}, workload)[1][0].failures == 0
    assert signals[0].failures in (0, case["failures"])


@pytest.mark.parametrize("case", cases("composites"))
def test_a_formula_becomes_the_only_metric(case: Case) -> None:
    extra: dict[str, Any] = {"advanced": {"scalingModifiers": {"formula": case["formula"], "target": "1"}}}
    if "fallback" in case:
        threshold, replicas, behavior = case["fallback"]
        extra["fallback"] = {"failureThreshold": threshold, "replicas": replicas, "behavior": behavior}
    triggers = [{"name": name, "metadata": {"threshold": "1"}} for name in case["answers"]]
    readings = {name: answer(value) for name, value in case["answers"].items()}
    metrics, _ = Keda(scaled_object(triggers, **extra)).metrics(readings, Workload(1, 1, 1))
    assert [metric.value_milli for metric in metrics] == [case["milli"]]


@pytest.mark.parametrize("case", cases("polls"))
def test_a_poll_scales_between_none_and_some(case: Case) -> None:
    least, idle, fallback = case["spec"]
    extra = {"minReplicaCount": least, "idleReplicaCount": idle}
    if fallback is not None:
        extra["fallback"] = {"failureThreshold": 3, "replicas": fallback}
    triggers = [{"name": name, "metadata": {"threshold": "1"}} for name in ("a", "b")]
    keda = Keda(scaled_object(triggers, **{key: value for key, value in extra.items() if value is not None}))
    if case["idle_for"] is not None:
        keda.poll(NOW - case["idle_for"], {"a": 1.0, "b": 0.0}, Workload(9, 9, 9))
    readings = {"a": float(case["active"]), "b": Odd.ERROR if case.get("error") else 0.0}
    decision = keda.poll(NOW, readings, Workload(case["current"], case["current"], case["current"]))
    assert decision.replicas == case["replicas"]
    assert decision.limit == case.get("limit", decision.limit)


@pytest.mark.parametrize("case", cases("activations"))
def test_a_poll_finds_activity(case: Case) -> None:
    extra: dict[str, Any] = {}
    if "formula" in case:
        modifiers = {"formula": case["formula"], "target": "1", "activationTarget": case.get("target", "0")}
        extra["advanced"] = {"scalingModifiers": modifiers}
    metadata = {"threshold": "1", "activationThreshold": case.get("activation", "0")}
    keda = Keda(scaled_object([{"name": "a", "metadata": metadata}], **extra))
    decision = keda.poll(NOW, {"a": answer(case["answer"])}, Workload(0, 0, 0))
    assert decision.is_active is case["active"]
    assert decision.replicas == (1 if case["active"] else None)


@pytest.mark.parametrize("case", cases("formulas"))
def test_a_formula_is_evaluated_as_by_expr(case: Case) -> None:
    values = case.get("values", {"a": 2.0, "b": 3.0, "c": 0.5})
    if "error" in case:
        with pytest.raises(FormulaError) as caught:
            compile_formula(case["formula"], ["a", "b", "c"]).evaluate(values)
        assert case["error"] in str(caught.value)
        return
    got = compile_formula(case["formula"], ["a", "b", "c"]).evaluate(values)
    wanted = case["value"]
    assert got == wanted or (got is not None and math.isnan(got) and math.isnan(wanted))


@pytest.mark.parametrize("case", cases("syncs"))
def test_syncs_in_a_row(case: Case) -> None:
    low, high = case["bounds"]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": case.get("down_window", 300)}}
    spec = scaled_object(
        [{"metadata": {"threshold": "1"}}],
        minReplicaCount=low,
        maxReplicaCount=high,
        advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}},
    )
    hpa, current = Hpa(spec), case["start"]
    for index, sync in enumerate(case["syncs"]):
        metrics = [Metric(f"m{at}", *each) for at, each in enumerate(sync["metrics"])]
        workload = Workload(*sync.get("pods", [current] * 3))
        decision = hpa.sync(sync.get("at", 15.0 * index), metrics, workload)
        assert decision.replicas == sync["replicas"], f"sync {index}: {decision}"
        assert decision.limit == sync.get("limit", decision.limit), f"sync {index}: {decision}"
        current = current if decision.replicas is None else decision.replicas
