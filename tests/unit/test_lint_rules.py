"""The linter over what people have: the playbook's snippet, defaults of others, and every rule once, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscale.lint.check import lint
from autoscale.lint.documents import load
from autoscale.lint.finding import Context, Finding

EXPOSITION = (Path(__file__).parents[1] / "data" / "expositions" / "engine_busy.txt").read_text(encoding="utf-8")
SOUND = 'sum(rate(tidegate_offered_tokens_total{model="m",kind="prefill"}[1m])) / 12750'


def trigger(
    query: str | None = SOUND, metric_type: str | None = None, name: str = "", **metadata: Any
) -> dict[str, Any]:
    given = {"serverAddress": "http://p", "query": query, "threshold": "1", "ignoreNullValues": "false", **metadata}
    one: dict[str, Any] = {"type": "prometheus", "metadata": {key: value for key, value in given.items() if value}}
    return {**one, **({"metricType": metric_type} if metric_type else {}), **({"name": name} if name else {})}


def scaled(*triggers: dict[str, Any], name: str = "engine", workload: str = "engine", **spec: Any) -> dict[str, Any]:
    body = {
        "scaleTargetRef": {"name": workload},
        "minReplicaCount": 1,
        "maxReplicaCount": 8,
        "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
        "triggers": list(triggers),
        **spec,
    }
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": body}


def rules(*documents: dict[str, Any], context: Context | None = None) -> set[str]:
    return {finding.rule for finding in lint(documents, context)}


def errors(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found if finding.severity == "error"}


PLAYBOOK = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: vllm}
spec:
  scaleTargetRef: {name: vllm}
  triggers:
  - type: prometheus
    metadata: {serverAddress: http://prometheus:9090, metricName: vllm:gpu_cache_usage_perc, threshold: "0.75"}
  - type: prometheus
    metadata: {serverAddress: http://prometheus:9090, metricName: ttft_p90, threshold: "0.5"}
"""

PLAYBOOK_WITH_QUERIES = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: vllm}
spec:
  scaleTargetRef: {name: vllm}
  minReplicaCount: 0
  triggers:
  - type: prometheus
    metadata:
      serverAddress: http://prometheus:9090
      query: avg(vllm:gpu_cache_usage_perc)
      threshold: "0.75"
  - type: prometheus
    metadata:
      serverAddress: http://prometheus:9090
      query: histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[1m])))
      threshold: "0.5"
"""

PRODUCTION_STACK = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: stack}
spec:
  scaleTargetRef: {name: stack}
  minReplicaCount: 1
  maxReplicaCount: 3
  pollingInterval: 15
  cooldownPeriod: 360
  triggers:
  - type: prometheus
    metadata:
      serverAddress: http://prometheus:9090
      query: vllm:num_requests_waiting{model="llama3"}
      threshold: "5"
"""

WVA = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: wva}
spec:
  scaleTargetRef: {name: wva}
  minReplicaCount: 1
  triggers:
  - type: prometheus
    name: wva-desired-replicas
    metadata:
      serverAddress: https://prometheus:9090
      query: wva_desired_replicas{variant_name="v", exported_namespace="n"}
      threshold: "1"
      metricType: AverageValue
"""

LLM_D_OVERLAY = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: llmd}
spec:
  scaleTargetRef: {name: llmd}
  minReplicaCount: 1
  fallback: {failureThreshold: 3, replicas: 2}
  triggers:
  - type: prometheus
    metadata:
      serverAddress: http://prometheus:9090
      query: max(inference_pool_saturation)
      threshold: "0.7"
"""


def test_the_playbooks_snippet_has_no_queries() -> None:
    found = lint(load(PLAYBOOK))
    assert errors(found) == {"query-missing"}
    assert {finding.rule for finding in found} >= {"metric-name-retired", "no-fallback"}


def test_the_playbook_with_queries_cannot_scale() -> None:
    found = lint(load(PLAYBOOK_WITH_QUERIES), Context(ttft_slo_seconds=0.5))
    assert errors(found) == {
        *("ratio-average-value", "percentile-average-value"),
        *("series-retired", "zero-on-engine-series"),
    }
    assert {finding.rule for finding in found} >= {"null-is-zero", "nan-possible", "threshold-at-slo", "no-fallback"}


def test_production_stacks_default_matches_nothing() -> None:
    assert errors(lint(load(PRODUCTION_STACK))) == {"several-series", "label-absent"}
    live = lint(load(PRODUCTION_STACK), Context(exposition=EXPOSITION))
    (absent,) = [finding for finding in live if finding.rule == "label-absent"]
    assert "no label model in the live exposition" in absent.text
    assert "engine, model_name" in absent.text


def test_wvas_example_has_its_metric_type_where_nobody_looks() -> None:
    assert errors(lint(load(WVA))) == {"metric-type-in-metadata", "several-series"}


def test_llm_ds_overlay_is_a_ratio_with_average_value() -> None:
    assert errors(lint(load(LLM_D_OVERLAY))) == {"ratio-average-value"}


def test_a_sound_object_has_no_finding() -> None:
    context = Context(exposition=EXPOSITION, ttft_slo_seconds=0.5, start_seconds=200)
    assert lint([scaled(trigger(), trigger("sum(vllm:kv_cache_usage_perc) or vector(0)"))], context) == []


KV = "avg(vllm:kv_cache_usage_perc)"
P90 = "histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[2m])))"
FORMULA = {"scalingModifiers": {"formula": "a + 1", "target": "1"}}


@pytest.mark.parametrize(
    ("rule", "wrong", "right"),
    [
        ("ratio-average-value", scaled(trigger(KV)), scaled(trigger(KV, "Value"))),
        ("ratio-average-value", scaled(trigger(KV)), scaled(trigger("sum(vllm:kv_cache_usage_perc)"))),
        ("percentile-average-value", scaled(trigger(P90)), scaled(trigger(P90, "Value"))),
        ("percentile-unclamped", scaled(trigger(P90, "Value")), scaled(trigger(f"clamp_max({P90}, 1)", "Value"))),
        ("metric-type-in-metadata", scaled(trigger(metricType="Value")), scaled(trigger(metric_type="Value"))),
        ("query-missing", scaled(trigger(None)), scaled(trigger())),
        ("threshold-missing", scaled(trigger(threshold="many")), scaled(trigger(threshold="2"))),
        ("metric-name-retired", scaled(trigger(metricName="x")), scaled(trigger())),
        ("query-unread", scaled(trigger("sum(a) by")), scaled(trigger("sum(a)"))),
        ("several-series", scaled(trigger("sum by (pod) (vllm:num_requests_waiting)")), scaled(trigger())),
        ("several-series", scaled(trigger("rate(a_total[5m])")), scaled(trigger("max(rate(a_total[5m]))"))),
        ("several-series", scaled(trigger("sum(a) without (pod)")), scaled(trigger("sum(sum(a) without (pod))"))),
        ("several-series", scaled(trigger("topk(1, a)")), scaled(trigger("max(topk(1, a))"))),
        ("nan-possible", scaled(trigger(P90, "Value")), scaled(trigger(f"({P90} > 0) or vector(0)", "Value"))),
        ("nan-possible", scaled(trigger("sum(a) / sum(b)")), scaled(trigger("sum(a) / (sum(b) > 0)"))),
        (
            "division-by-rate",
            scaled(trigger("sum(rate(a_sum[5m])) / sum(rate(a_count[5m]))")),
            scaled(trigger("sum(rate(a_sum[5m])) / clamp_min(sum(rate(a_count[5m])), 0.01)")),
        ),
        ("null-is-zero", scaled(trigger(KV, "Value", ignoreNullValues=None)), scaled(trigger(KV, "Value"))),
        ("rate-window-short", scaled(trigger("sum(rate(a_total[30s]))")), scaled(trigger("sum(rate(a_total[1m]))"))),
        ("label-absent", scaled(trigger('sum(vllm:num_requests_waiting{model="m"})')), scaled(trigger())),
        ("series-retired", scaled(trigger("sum(vllm:gpu_cache_usage_perc)")), scaled(trigger())),
        (
            "zero-on-engine-series",
            scaled(trigger("sum(vllm:num_requests_waiting)"), minReplicaCount=0),
            scaled(trigger("sum(vllm:num_requests_waiting)"), trigger(), minReplicaCount=0),
        ),
        ("not-a-string", scaled(trigger(threshold=5)), scaled(trigger(threshold="5"))),
        ("cpu-trigger", scaled(trigger(), {"type": "cpu", "metadata": {"value": "60"}}), scaled(trigger())),
        ("no-fallback", scaled(trigger(), fallback=None), scaled(trigger())),
        ("formula-wrong", scaled(trigger(name="b"), advanced=FORMULA), scaled(trigger(name="a"), advanced=FORMULA)),
        (
            "composite-negative",
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "a - 1", "target": "1"}}),
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "max(0, a - 1)", "target": "1"}}),
        ),
        (
            "composite-negative",
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "1 / a", "target": "1"}}),
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "1 / max(a, 1)", "target": "1"}}),
        ),
        ("trigger-unnamed", scaled(trigger(), advanced=FORMULA), scaled(trigger(name="a"), advanced=FORMULA)),
        (
            "fallback-needs-whole-target",
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "a", "target": "0.75"}}),
            scaled(trigger(name="a"), advanced={"scalingModifiers": {"formula": "a", "target": "2"}}),
        ),
        ("min-above-max", scaled(trigger(), minReplicaCount=9), scaled(trigger(), minReplicaCount=8)),
        ("name-too-long", scaled(trigger(), name="x" * 55), scaled(trigger(), name="x" * 54)),
        (
            "polling-odd",
            scaled(trigger(), minReplicaCount=0, pollingInterval=120),
            scaled(trigger(), minReplicaCount=0),
        ),
        ("cooldown-odd", scaled(trigger(), minReplicaCount=0, cooldownPeriod=30), scaled(trigger(), cooldownPeriod=30)),
        ("refused", scaled(trigger(), idleReplicaCount=1), scaled(trigger(), minReplicaCount=2, idleReplicaCount=0)),
    ],
)
def test_a_rule_finds_the_wrong_and_leaves_the_right(rule: str, wrong: dict[str, Any], right: dict[str, Any]) -> None:
    assert rule in rules(wrong)
    assert rule not in rules(right)


def test_a_name_that_no_engine_has_is_found_by_a_live_exposition() -> None:
    wrong = scaled(trigger("sum(vllm:num_requests_wating)"))
    assert "series-absent" in rules(wrong, context=Context(exposition=EXPOSITION))
    assert "series-absent" not in rules(wrong)
    other = scaled(trigger("sum(otel_queue_length)"))
    assert "series-absent" not in rules(other, context=Context(exposition=EXPOSITION))


def test_labels_that_the_scrape_adds_are_not_absent() -> None:
    query = 'sum(vllm:num_requests_waiting{namespace="chat",pod=~"cell.*",model_name="tiny"})'
    assert rules(scaled(trigger(query)), context=Context(exposition=EXPOSITION)) == set()


def test_a_window_below_the_start_time_is_found_where_the_start_time_is_known() -> None:
    behavior = {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}
    short = scaled(trigger(), advanced=behavior)
    assert "window-below-start" in rules(short, context=Context(start_seconds=180))
    assert "window-below-start" not in rules(short)
    assert "window-below-start" not in rules(scaled(trigger()), context=Context(start_seconds=180))


def test_a_workload_has_one_scaler_and_no_replicas_of_its_own() -> None:
    hpa = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "old"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "engine"}},
    }
    deployment = {"kind": "Deployment", "metadata": {"name": "engine"}, "spec": {"replicas": 2}}
    one, other = scaled(trigger()), scaled(trigger(), name="second")
    assert rules(one, other) == {"two-scalers"}
    assert rules(one, hpa) == {"two-scalers"}
    assert rules(one, deployment) == {"replicas-in-workload"}
    assert rules(one, scaled(trigger(), name="second", workload="front")) == set()


def test_findings_say_where_and_errors_come_first() -> None:
    found = lint(load(yaml.safe_dump_all([scaled(trigger(P90, "Value")), scaled(trigger(KV), name="b", workload="b")])))
    assert [finding.severity for finding in found] == ["error", "warning", "warning"]
    assert found[0].where == "ScaledObject b spec.triggers[0]"
