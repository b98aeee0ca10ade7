"""The keda chart as its user meets it: the same law as in Python, sentences where it cannot work, a guest elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmError, lint

from autoscale import signals
from tests.support.helm import ROOT, render, scenario

KEDA = ROOT / "keda"
ONE = {"name": "a", "workload": "b", "model": "c"}


def scaled(*targets: dict[str, Any], **values: Any) -> list[dict[str, Any]]:
    return render("keda", {"targets": list(targets), **values}).of("ScaledObject")


def queries(one: dict[str, Any]) -> dict[str, str]:
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in one["spec"]["triggers"]}


@pytest.mark.parametrize("source", ["front", "engine"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"prefill_tokens_per_second": 1_234_567.0, "headroom": 0.9, "window": "2m"},
        {"decode_tokens_per_second": 2_000_000, "ttft_seconds": 0.1, "kv_usage": 1.0},
        {"drain_seconds": 12.5, "matchers": ',cluster="eu"'},
    ],
)
def test_the_chart_asks_and_decides_as_the_python_law_does(source: signals.Source, parameters: dict[str, Any]) -> None:
    file = signals.load()
    given = {"model": "c", **parameters}

    (one,) = scaled({**ONE, "source": source, "parameters": parameters})

    assert queries(one) == {name: file.query(name, source, given) for name in file.signals}
    modifiers = one["spec"]["advanced"]["scalingModifiers"]
    assert modifiers["formula"] == file.formula(given)
    assert (modifiers["target"], modifiers["metricType"]) == (file.composite.target, file.composite.metric_type)


def test_a_fallback_that_keda_takes_never_shrinks() -> None:
    """KEDA's `HasValidFallback`: with modifiers their target is a whole number and their type said as AverageValue."""
    (one,) = scaled(ONE)
    modifiers, fallback = one["spec"]["advanced"]["scalingModifiers"], one["spec"]["fallback"]

    assert (int(modifiers["target"]), modifiers["metricType"]) == (1, "AverageValue")
    assert fallback["behavior"] == "currentReplicasIfHigher"
    assert all(trigger["metadata"]["ignoreNullValues"] == "false" for trigger in one["spec"]["triggers"])


def test_a_namespace_is_in_every_selector_of_every_query() -> None:
    (one,) = scaled(ONE, namespace="prod")

    for query in queries(one).values():
        assert query.count('namespace="prod"') == query.count('="c"') > 0


def test_groups_of_pods_are_scaled_as_groups() -> None:
    small, large = render("keda", scenario("keda", "front")).of("ScaledObject")

    assert small["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "small"}
    assert large["spec"]["scaleTargetRef"]["apiVersion"] == "leaderworkerset.x-k8s.io/v1"


def test_keda_logs_in_to_prometheus_where_it_must() -> None:
    (one,) = render("keda", scenario("keda", "own-vllm")).of("ScaledObject")

    for trigger in one["spec"]["triggers"]:
        assert trigger["authenticationRef"] == {"name": "prometheus", "kind": "ClusterTriggerAuthentication"}
        assert trigger["metadata"]["authModes"] == "bearer"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"minReplicas": 5, "maxReplicas": 2}, "minReplicas 5 is above maxReplicas 2"),
        ({"minReplicas": 0, "source": "engine"}, "minReplicas 0 needs source front"),
        ({"name": "a" * 55}, "longer than 54 characters"),
        ({"parameters": {"prefil": 1}}, "parameters.prefil of the target a is no parameter of signals.yaml; known: "),
        ({"model": ""}, "/targets/0/model"),
        ({"replicas": 3}, "replicas"),
    ],
)
def test_a_target_that_cannot_work_is_refused_with_the_field_and_the_reason(
    target: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(HelmError, match=sentence):
        scaled({**ONE, **target})


def test_the_longest_name_fits_the_autoscaler() -> None:
    (one,) = scaled({**ONE, "name": "a" * 54})

    assert len(f"keda-hpa-{one['metadata']['name']}") == 63


@pytest.mark.parametrize(
    ("values", "known", "sentence"),
    [
        ({"targets": [ONE], "rules": {"enabled": False}}, "monitoring.coreos.com/v1", "install KEDA >= 2.20, or set"),
        ({}, "keda.sh/v1alpha1", "install the Prometheus operator, or set rules.enabled=false"),
    ],
)
def test_a_cluster_without_the_kinds_gets_a_sentence(values: dict[str, Any], known: str, sentence: str) -> None:
    with pytest.raises(HelmError, match=sentence):
        render("keda", values, api_versions=[known])


def test_what_is_turned_off_needs_nothing_of_the_cluster() -> None:
    assert render("keda", {"rules": {"enabled": False}}, api_versions=[]).objects == []


@pytest.mark.parametrize("objective", [0.9, 1, 1.5])
def test_an_objective_whose_alerts_could_not_fire_is_refused(objective: float) -> None:
    with pytest.raises(HelmError, match="objective"):
        render("keda", {"rules": {"slo": {"objective": objective}}})


def test_the_chart_passes_helms_own_lint() -> None:
    assert lint(str(KEDA), {"rules": {"enabled": False}}, strict=True)["messages"] == []


def test_every_value_is_in_the_closed_schema_and_the_reverse() -> None:
    values = yaml.safe_load((KEDA / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((KEDA / "values.schema.json").read_text(encoding="utf-8"))
    target = schema["definitions"]["target"]

    assert set(schema["properties"]) == {*values, "global"}
    assert set(target["properties"]) == set(values["targetDefaults"])
    for key in ("rules", "prometheus", "fallback", "behavior"):
        closed = schema["properties"][key]
        assert closed["additionalProperties"] is False
        assert set(closed["properties"]) == set(values[key])


def test_a_parent_chart_gets_the_same_objects_by_the_named_templates(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "templates").mkdir()
    (parent / "charts" / "keda").symlink_to(KEDA)
    (parent / "Chart.yaml").write_text(
        "{apiVersion: v2, name: parent, version: 0.1.0, dependencies: [{name: tidegate-keda, version: 0.1.0}]}"
    )
    (parent / "values.yaml").write_text("tidegate-keda: {objects: false}")
    (parent / "templates" / "scaled.yaml").write_text(
        '{{ $keda := index .Subcharts "tidegate-keda" }}'
        '{{ include "tidegate-keda.scaledobject" (dict "target" .Values.target "values" $keda.Values'
        ' "files" $keda.Files) }}'
    )
    (own,) = scaled(ONE)

    rendered = Chart.load(str(parent)).render({"target": ONE}, name="x", namespace="y")
    (guest,) = [one for text in rendered.values() if (one := yaml.safe_load(text))]

    assert guest["spec"] == own["spec"]
