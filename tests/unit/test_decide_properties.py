"""What holds of every decision, whatever the numbers: bounds, errors, monotony, windows, and agreement with a peer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.decide.controller import Controller
from autoscale.decide.decision import Limit, Metric
from autoscale.decide.explain import LIMITS, explain
from autoscale.decide.fallback import is_valid
from autoscale.decide.hpa import Hpa
from autoscale.decide.read import read
from autoscale.decide.reading import EMPTY, ERROR, MANY, Answer, Workload
from autoscale.decide.spec import ScaledObject

STAND_IN = Path(__file__).parents[3] / "shared" / "cluster" / "procluster" / "keda"

values = st.floats(0, 1e6, allow_nan=False)
answers = st.one_of(
    values, st.sampled_from([EMPTY, MANY, ERROR, float("nan"), float("inf"), -1.0]), st.floats(-1e3, 1e3)
)
counts = st.integers(1, 60)
# The stand-in hands a formula its triggers unrounded and negative ones as they are; KEDA rounds to thousandths first.
shared = st.one_of(
    st.integers(0, 400).map(lambda eighths: eighths / 8), st.sampled_from([EMPTY, MANY, ERROR, float("nan")])
)


def spec(*kinds: str, least: int = 1, most: int = 50, **extra: Any) -> ScaledObject:
    return read(document(*kinds, least=least, most=most, **extra))


def document(*kinds: str, least: int = 1, most: int = 50, **extra: Any) -> dict[str, Any]:
    triggers = [
        {
            "type": "prometheus",
            "name": f"t{index}",
            "metricType": kind,
            "metadata": {"serverAddress": "http://p", "query": "q", "threshold": "0.75", "ignoreNullValues": "false"},
        }
        for index, kind in enumerate(kinds)
    ]
    body = {"scaleTargetRef": {"name": "w"}, "minReplicaCount": least, "maxReplicaCount": most, "triggers": triggers}
    return {"kind": "ScaledObject", "metadata": {"name": "x"}, "spec": {**body, **extra}}


def metric(kind: str, value: float | None) -> Metric:
    return Metric(
        "m", "Value" if kind == "Value" else "AverageValue", 750, None if value is None else round(value * 1000)
    )


@given(st.lists(st.tuples(answers, answers, counts, counts), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_a_written_count_is_within_minimum_and_maximum(turns: list[tuple[Answer, Answer, int, int]]) -> None:
    controller, current = Controller(spec("AverageValue", "Value", least=2, most=20)), 5
    for index, (one, other, existing, ready) in enumerate(turns):
        readings = {"t0": one, "t1": other}
        decision = controller.sync(15.0 * index, readings, Workload(current, existing, min(existing, ready)))
        assert decision.replicas is None or 2 <= decision.replicas <= 20
        assert len(explain(decision, current)) >= 1
        current = current if decision.replicas is None else decision.replicas


@given(values, counts)
@settings(max_examples=40, deadline=None)
def test_nothing_shrinks_while_a_metric_fails(value: float, current: int) -> None:
    hpa = Hpa(spec("AverageValue", "Value", most=100))
    hpa.sync(0.0, [metric("AverageValue", 0.0), metric("Value", 0.0)], Workload(1, 1, 1))
    failed = [metric("AverageValue", value), metric("Value", None)]
    decision = hpa.sync(10_000.0, failed, Workload(current, current, current))
    assert decision.replicas is None or decision.replicas > current


@given(values, values, counts)
@settings(max_examples=40, deadline=None)
def test_more_of_an_average_value_never_asks_for_less(one: float, other: float, current: int) -> None:
    low, high = sorted((one, other))
    workload = Workload(current, current, current)
    asked = [
        Hpa(spec("AverageValue")).sync(0.0, [metric("AverageValue", value)], workload).proposals
        for value in (low, high)
    ]
    if asked[0] and asked[1] and not asked[0][0].in_tolerance and not asked[1][0].in_tolerance:
        assert (asked[0][0].replicas or 0) <= (asked[1][0].replicas or 0)


@given(values, counts, st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_an_average_value_asks_the_same_at_any_fleet_size_outside_the_tolerance(
    value: float, current: int, ready: int
) -> None:
    workloads = (Workload(current, current, min(ready, current)), Workload(current, current, current))
    proposals = [
        Hpa(spec("AverageValue", most=60)).sync(0.0, [metric("AverageValue", value)], each).proposals[0]
        for each in workloads
    ]
    assert proposals[0].replicas == proposals[1].replicas


@given(st.lists(values, min_size=2, max_size=40))
@settings(max_examples=40, deadline=None)
def test_within_the_window_a_count_falls_no_lower_than_what_was_wanted(asked: list[float]) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 300}}
    hpa = Hpa(spec("AverageValue", most=10**6, advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}}))
    current, wishes = 10, [(0.0, 10)]
    for index, value in enumerate(asked):
        now = 15.0 * index
        decision = hpa.sync(now, [metric("AverageValue", value)], Workload(current, current, current))
        wishes.append((now, decision.wanted or 0))
        if decision.replicas is not None and decision.replicas < current:
            assert decision.replicas >= max(1, *(wish for at, wish in wishes if at > now - 300))
        current = current if decision.replicas is None else decision.replicas


@given(st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=40, deadline=None)
def test_a_fallback_of_what_is_there_never_shrinks(reachable: list[bool]) -> None:
    fallback = {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"}
    controller = Controller(spec("AverageValue", least=1, fallback=fallback))
    for index, up in enumerate(reachable):
        readings = {"t0": 6.0 if up else ERROR}
        assert controller.poll(15.0 * index, readings, Workload(8, 8, 8)).replicas is None
        assert controller.sync(15.0 * index, readings, Workload(8, 8, 8)).replicas is None


def test_every_limit_has_its_sentence() -> None:
    assert set(get_args(Limit)) - {""} == set(LIMITS)


def stand_in(name: str) -> ModuleType:
    """A module of the cluster tool's KEDA, where the tool lies beside the checkout."""
    if not STAND_IN.is_dir():
        pytest.skip(f"the cluster tool's KEDA is not at {STAND_IN}")
    if "peer_keda" not in sys.modules:
        package = importlib.util.spec_from_file_location(
            "peer_keda", STAND_IN / "__init__.py", submodule_search_locations=[str(STAND_IN)]
        )
        assert package is not None
        assert package.loader is not None
        sys.modules["peer_keda"] = importlib.util.module_from_spec(package)
        package.loader.exec_module(sys.modules["peer_keda"])
    return importlib.import_module(f"peer_keda.{name}")


@given(
    st.lists(st.tuples(shared, shared, st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=15),
    st.sampled_from(["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]),
    st.sampled_from([None, "1", "2", "0.75"]),
    st.sampled_from([0, 2]),
    st.sampled_from(["AverageValue", "Value"]),
)
@settings(max_examples=60, deadline=None)
def test_the_cluster_tools_keda_decides_the_same(
    turns: list[tuple[Answer, Answer, int, int]], behavior: str, target: str | None, least: int, kind: str
) -> None:
    rules, peer_spec = stand_in("rules"), stand_in("spec")
    extra: dict[str, Any] = {"fallback": {"failureThreshold": 2, "replicas": 3, "behavior": behavior}}
    if target:
        extra["advanced"] = {"scalingModifiers": {"formula": "max(t0, t1)", "target": target, "metricType": kind}}
    text = document(kind, kind, least=least, **extra)
    ours, peer = read(text), peer_spec.parse(text)
    assert is_valid(ours) == rules.fallback_is_valid(peer)
    controller, health, last_active, now = Controller(ours), rules.Health(), None, 0.0
    for one, other, current, ready in turns:
        now += 30.0
        readings = {"t0": one, "t1": other}
        replicas = rules.Replicas(current, min(ready, current))
        judged = [_judge(rules, peer, health, replicas, trigger, readings[trigger.name]) for trigger in peer.triggers]
        wanted = rules.decide(peer, rules.activity(peer, judged), current, last_active, 0.0, now)
        last_active = now if wanted.was_active else last_active
        decision = controller.poll(now, readings, Workload(current, current, min(ready, current)))
        scale_to = None if wanted.scale_to == current else wanted.scale_to
        assert decision.replicas == scale_to, f"{readings} at {current}: {decision} against {wanted}"


def _judge(rules: ModuleType, peer: Any, health: Any, replicas: Any, trigger: Any, got: Answer) -> Any:
    finite = isinstance(got, float) and got == got and abs(got) != float("inf")
    value = float(got) if finite else None  # type: ignore[arg-type]
    return rules.read(peer, trigger, value, "" if finite else "odd", health, replicas)
