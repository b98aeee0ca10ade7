"""Laws that are ScaledObjects, as the data that a cluster would be given; what KEDA and the HPA make of them is theirs.

Thresholds of others are their published ones. Bounds are the same for all: they are the cluster's, not a law's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from autoscale.signals import Signals, Value
from autoscale.simulate.prometheus import PROVISIONED, READY
from serving.metrics import FrontSeries, VllmSeries

ScaledObject = dict[str, Any]

UP_AT_ONCE = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 4, "periodSeconds": 15},
    ],
}
DOWN_SOON = {
    "stabilizationWindowSeconds": 180,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 60}],
}
_ADDRESS = "http://prometheus:9090"


class Bounds(NamedTuple):
    """Of the replica count."""

    low: int = 1
    high: int = 100


def tidegate(signals: Signals, given: Mapping[str, Value], bounds: Bounds) -> ScaledObject:
    """signals.yaml as the chart renders it."""
    triggers = {name: signals.query(name, "front", given) for name in signals.signals}
    composite = signals.composite
    modifiers = {
        "formula": signals.formula(given),
        "target": composite.target,
        "activationTarget": composite.activation_target,
        "metricType": composite.metric_type,
    }
    behavior = {"scaleUp": UP_AT_ONCE, "scaleDown": DOWN_SOON}
    return _document(
        "tidegate",
        bounds,
        5,
        fallback={"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
        advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}, "scalingModifiers": modifiers},
        triggers=[_trigger(name, query, "1", ignoreNullValues="false") for name, query in triggers.items()],
    )


def playbook(metric_type: str, model: str, bounds: Bounds) -> ScaledObject:
    """The two triggers of the playbook, their queries made whole; `metric_type` is AverageValue where none is given."""
    triggers = [
        _trigger("kv", f'avg({VllmSeries.KV_USAGE}{{model_name="{model}"}})', "0.75"),
        _trigger("ttft", _p90(VllmSeries.TTFT, f'model_name="{model}"', "1m"), "0.5"),
    ]
    typed = [{**each, "metricType": metric_type} for each in triggers]
    return _document("playbook", bounds, 30, triggers=typed)


def production_stack(model: str, bounds: Bounds) -> ScaledObject:
    """vLLM's production-stack: more than five waiting requests a replica, with a query that matches the engine."""
    query = f'sum({VllmSeries.WAITING}{{model_name="{model}"}})'
    return _document("production-stack", bounds, 15, cooldownPeriod=360, triggers=[_trigger("waiting", query, "5")])


def llm_d(model: str, ttft_seconds: float, bounds: Bounds) -> ScaledObject:
    """llm-d's SLO law (its guide README.slo-aware.md): clamped, smoothed, credited, with its band and its behavior.

    Its second latency, TPOT, is not among the simulated series; the clamp is applied before the smoothing, as there.
    """
    latency = _p90(FrontSeries.TTFT, f'model="{model}"', "1m")
    raw = f"clamp_max(({latency}) / {ttft_seconds:g} >= 0 or vector(0), 2)"
    credit = "(readyReplicas > 0 and readyReplicas < replicas ? readyReplicas / replicas : 1)"
    up = f"replicas + ceil(replicas * (saturation * {credit} / 0.55 - 1))"
    down = "replicas - floor(replicas * (1 - saturation / 0.40))"
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 30,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 60},
                {"type": "Pods", "value": 4, "periodSeconds": 60},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 180,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
        },
    }
    modifiers = {
        "formula": f"saturation > 0.55 ? {up} : saturation < 0.40 ? {down} : replicas",
        "target": "1",
        "metricType": "AverageValue",
    }
    queries = {
        "saturation": f"avg_over_time(({raw})[45s:15s])",
        "replicas": f"max({PROVISIONED})",
        "readyReplicas": f"max({READY})",
    }
    return _document(
        "llm-d",
        bounds,
        15,
        advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}, "scalingModifiers": modifiers},
        triggers=[_trigger(name, query, "1") for name, query in queries.items()],
    )


def _document(name: str, bounds: Bounds, polling: int, **spec: Any) -> ScaledObject:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": "engines"},
            "minReplicaCount": bounds.low,
            "maxReplicaCount": bounds.high,
            "pollingInterval": polling,
            **spec,
        },
    }


def _trigger(name: str, query: str, threshold: str, **metadata: str) -> ScaledObject:
    return {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {"serverAddress": _ADDRESS, "query": query, "threshold": threshold, **metadata},
    }


def _p90(series: str, matchers: str, window: str) -> str:
    return f"histogram_quantile(0.9, sum by (le) (rate({series}_bucket{{{matchers}}}[{window}])))"
