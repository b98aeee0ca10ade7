"""A ScaledObject's YAML is read strictly; each complaint names the field and says what to write."""

from __future__ import annotations

from typing import Any

import pytest

from autoscale.decide.controller import Controller
from autoscale.decide.explain import explain
from autoscale.decide.read import read
from autoscale.decide.reading import EMPTY, ERROR, MANY, Workload, answer
from autoscale.decide.spec import Policy, SpecError


def document(
    metadata: dict[str, Any] | None = None, trigger: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    given = {"serverAddress": "http://p", "query": "q", "threshold": "1", **(metadata or {})}
    one = {"type": "prometheus", "metadata": {key: value for key, value in given.items() if value is not None}}
    body = {"scaleTargetRef": {"name": "engine"}, "triggers": [{**one, **(trigger or {})}], **spec}
    return {"kind": "ScaledObject", "metadata": {"name": "x"}, "spec": body}


def behavior(**directions: Any) -> dict[str, Any]:
    return {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": directions}}}


def modifiers(**fields: Any) -> dict[str, Any]:
    return {"advanced": {"scalingModifiers": fields}}


def test_defaults_are_kedas() -> None:
    spec = read(document())
    trigger = spec.triggers[0]
    assert (spec.hpa_min, spec.max_replicas, spec.polling_seconds, spec.cooldown_seconds) == (1, 100, 30.0, 300.0)
    assert (trigger.metric_type, trigger.activation_threshold, trigger.ignores_null) == ("AverageValue", 0.0, True)
    assert (trigger.key, spec.fallback, spec.modifiers, spec.behavior) == ("s0-prometheus", None, None, None)


def test_one_direction_leaves_the_other_at_its_defaults() -> None:
    read_behavior = read(document(**behavior(scaleUp={"tolerance": "50m"}))).behavior
    assert read_behavior is not None
    assert read_behavior.up.tolerance == 0.05
    assert read_behavior.up.policies == (Policy("Percent", 100, 15), Policy("Pods", 4, 15))
    assert (read_behavior.down.window_seconds, read_behavior.down.policies) == (None, (Policy("Percent", 100, 15),))


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (document({"threshold": 5}), 'spec.triggers[0].metadata.threshold: must be a string: write "5" in quotes'),
        (document({"threshold": None}), "spec.triggers[0].metadata.threshold: is missing"),
        (document({"threshold": "0.0001"}), "spec.triggers[0].metadata.threshold: 0.0001 must be above"),
        (document({"threshold": "x"}), "spec.triggers[0].metadata.threshold: 'x' is not a number"),
        (document({"query": None}), "spec.triggers[0].metadata.query: is missing"),
        (document({"metricType": "Value"}), "spec.triggers[0].metadata.metricType: no such field"),
        (document({"ignoreNullValues": "no"}), "spec.triggers[0].metadata.ignoreNullValues: 'no' must be"),
        (document(trigger={"type": "cpu"}), "spec.triggers[0].type: 'cpu' cannot be decided"),
        (document(trigger={"metricType": "Utilization"}), "spec.triggers[0].metricType: 'Utilization' must be one of"),
        (document(minReplicaCount=5, maxReplicaCount=2), "spec.minReplicaCount: 5 is above maxReplicaCount 2"),
        (document(minReplicaCount="1"), "spec.minReplicaCount: '1' must be a whole number"),
        (document(idleReplicaCount=0), "spec.idleReplicaCount: 0 must be below minReplicaCount 0"),
        (document(replicas=3), "spec.replicas: no such field"),
        (document(triggers=[]), "spec.triggers: is empty"),
        (document(fallback={"replicas": 3}), "spec.fallback.failureThreshold: is missing"),
        (document(fallback={"failureThreshold": -3, "replicas": 3}), "spec.fallback.failureThreshold: -3"),
        (document(fallback={"failureThreshold": 3, "replicas": 3, "behavior": "up"}), "spec.fallback.behavior: 'up'"),
        (
            document(fallback={"failureThreshold": 3, "replicas": 3, "behavior": "scalingModifiers"}),
            "spec.fallback.behavior: scalingModifiers needs",
        ),
        (document(**modifiers(formula="a", target="1")), "spec.triggers[0].name: is missing"),
        (
            document(trigger={"name": "a"}, **modifiers(formula="a +", target="1")),
            "scalingModifiers.formula: unexpected",
        ),
        (document(trigger={"name": "a"}, **modifiers(formula="a")), "scalingModifiers.target: is missing"),
        (document(trigger={"name": "a"}, **modifiers(formula="a", target="0")), "scalingModifiers.target: 0 must be"),
        (document(**behavior(scaleUp={"policies": []})), "scaleUp.policies: is empty"),
        (
            document(**behavior(scaleDown={"policies": [{"type": "Pods", "value": 0, "periodSeconds": 60}]})),
            "scaleDown.policies[0].value: 0 must be a whole number, at least 1",
        ),
        (
            document(**behavior(scaleDown={"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3600}]})),
            "scaleDown.policies[0].periodSeconds: 3600 must be a whole number, from 1 to 1800",
        ),
        (document(**behavior(scaleUp={"tolerance": "five"})), "scaleUp.tolerance: 'five' is not a quantity"),
        ({"kind": "Deployment"}, "kind: 'Deployment' must be ScaledObject"),
        ({**document(), "metadata": {"name": "x" * 60}}, "metadata.name: the HPA"),
    ],
)
def test_a_wrong_field_is_named(made: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(made)
    assert complaint in str(caught.value)


def test_answers_of_a_query() -> None:
    assert answer([]) is EMPTY
    assert answer([1, 2]) is MANY
    assert answer([3]) == 3.0


def test_a_decision_says_what_it_rests_on() -> None:
    fallback = {"failureThreshold": 1, "replicas": 6}
    controller = Controller(read(document(trigger={"name": "queue"}, fallback=fallback)))
    first = controller.sync(0.0, {"queue": 3.2}, Workload(2, 2, 2))
    assert explain(first, 2) == [
        "2 -> 4",
        "  s0-prometheus: 3.2 against 1 (AverageValue) -> 4",
        "    queue: 3.2",
    ]
    held = controller.sync(15.0, {"queue": 1.0}, Workload(4, 4, 4))
    assert explain(held, 4)[0] == "stays at 4, 1 wanted: more was wanted within the scale-down window"
    failed = controller.sync(30.0, {"queue": ERROR}, Workload(4, 4, 4))
    assert explain(failed, 4)[1:] == [
        "  s0-prometheus: no value: queue could not be read",
        "    queue: no answer, an error, 1 in a row",
    ]
    instead = controller.sync(45.0, {"queue": ERROR}, Workload(4, 4, 4))
    assert explain(instead, 4) == [
        "4 -> 6",
        "  s0-prometheus: 6 (fallback) against 1 (AverageValue) -> 6",
        "    queue: no answer, 2 failures in a row, the fallback's value instead",
    ]


def test_metrics_are_read_from_the_last_poll_where_they_are_cached() -> None:
    controller = Controller(read(document(trigger={"name": "queue", "useCachedMetrics": True})))
    controller.poll(0.0, {"queue": 5.0}, Workload(1, 1, 1))
    assert controller.sync(1.0, {"queue": 9.0}, Workload(1, 1, 1)).wanted == 5
