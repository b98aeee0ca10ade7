"""What KEDA and Prometheus are told: it is about workloads, ports and series that the same release has."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import pytest
import yaml

from autoscale.deletion_cost import add_options
from tests.support.helm import ROOT, WITH_OPERATORS, Obj, Rendered, render

CHART = "charts/tidegate"
TWO = {
    "models": [
        {"name": "small", "source": "org/small", "scaling": {"minReplicas": 0, "maxReplicas": 3}},
        {"name": "big", "source": "org/big", "pipelineParallelSize": 2, "scaling": {"parameters": {"kv_usage": 0.6}}},
        {"name": "fixed", "source": "org/fixed", "scaling": {"enabled": False}},
    ]
}


def scaled(rendered: Rendered) -> dict[str, Obj]:
    """The engines' ScaledObjects by their names."""
    found = {one["metadata"]["name"]: one for one in rendered.of("ScaledObject")}
    return {name: one for name, one in found.items() if "-engine-" in name}


def workload(rendered: Rendered, reference: Obj) -> Obj:
    """What a ScaledObject's `scaleTargetRef` names."""
    found = [
        one
        for one in rendered.of(reference["kind"])
        if one["metadata"]["name"] == reference["name"] and one["apiVersion"] == reference["apiVersion"]
    ]
    assert len(found) == 1, reference
    return found[0]


def test_every_scaled_model_has_one_scaled_object_and_a_fixed_one_has_none() -> None:
    assert sorted(scaled(render(CHART, TWO))) == ["chat-engine-big", "chat-engine-small"]
    assert render(CHART, {**TWO, "scaling": {"enabled": False}}).of("ScaledObject") == []


def test_a_scaled_object_names_a_workload_of_this_release_that_leaves_its_replicas_alone() -> None:
    rendered = render(CHART, TWO)
    for one in rendered.of("ScaledObject"):
        assert "replicas" not in workload(rendered, one["spec"]["scaleTargetRef"])["spec"]


def test_replicas_and_times_are_those_of_the_values() -> None:
    spec = scaled(render(CHART, {**TWO, "scaling": {"pollingInterval": 7, "cooldownPeriod": 60}}))["chat-engine-small"][
        "spec"
    ]

    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 3)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (7, 60)


def test_queries_are_about_the_models_own_series_in_the_releases_namespace() -> None:
    objects = scaled(render(CHART, TWO, namespace="team-a"))
    queries = {
        name: [trigger["metadata"]["query"] for trigger in one["spec"]["triggers"]] for name, one in objects.items()
    }

    for name, model in (("chat-engine-small", "small"), ("chat-engine-big", "big")):
        assert all(f'"{model}"' in query and 'namespace="team-a"' in query for query in queries[name])


def test_a_models_parameters_reach_its_own_law_only() -> None:
    formulas = {
        name: one["spec"]["advanced"]["scalingModifiers"]["formula"] for name, one in scaled(render(CHART, TWO)).items()
    }

    assert "kv > 0.6 " in formulas["chat-engine-big"]
    assert "kv > 0.75 " in formulas["chat-engine-small"]


def test_every_trigger_asks_the_prometheus_of_the_values() -> None:
    address = "http://prometheus.elsewhere:9090"
    rendered = render(CHART, {**TWO, "scaling": {"prometheusAddress": address}})
    addresses = {
        trigger["metadata"]["serverAddress"]
        for one in rendered.of("ScaledObject")
        for trigger in one["spec"]["triggers"]
    }

    assert addresses == {address}


@pytest.mark.parametrize(("component", "port"), [("front", 9000), ("engine", 30000)])
def test_a_pod_monitor_finds_pods_of_the_release_by_a_port_that_they_name(component: str, port: int) -> None:
    rendered = render(CHART, TWO)
    spec = rendered.one("PodMonitor", f"-{component}")["spec"]
    chosen, endpoint = spec["selector"]["matchLabels"], spec["podMetricsEndpoints"][0]
    templates = [
        one["spec"]["template"]
        for one in rendered.of("Deployment")
        if chosen.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    ]
    ports = [
        {each["name"]: each["containerPort"] for each in template["spec"]["containers"][0]["ports"]}
        for template in templates
    ]

    assert templates
    assert [each[endpoint["port"]] for each in ports] == [port] * len(templates)
    assert endpoint["path"] == "/metrics"


def test_monitors_and_rules_have_the_labels_and_the_interval_that_prometheus_wants() -> None:
    values = {**TWO, "monitoring": {"labels": {"release": "prometheus"}, "interval": "15s"}}
    rendered = render(CHART, values)

    for one in [*rendered.of("PodMonitor"), *rendered.of("PrometheusRule")]:
        assert one["metadata"]["labels"]["release"] == "prometheus"
    assert {one["spec"]["podMetricsEndpoints"][0]["interval"] for one in rendered.of("PodMonitor")} == {"15s"}


def test_without_the_operator_nothing_of_its_kinds_is_rendered() -> None:
    off = {"podMonitors": False, "rules": False}
    others = [kind for kind in WITH_OPERATORS if not kind.startswith("monitoring")]
    rendered = render(CHART, {**TWO, "monitoring": off}, api_versions=others)

    assert rendered.of("PodMonitor") + rendered.of("PrometheusRule") == []


def test_every_recording_rule_of_the_signals_is_in_the_releases_rules() -> None:
    groups = render(CHART, TWO).one("PrometheusRule")["spec"]["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    signals = yaml.safe_load((ROOT / "keda" / "signals.yaml").read_text(encoding="utf-8"))

    assert {rule["name"] for rules in signals["recorded"].values() for rule in rules if "<<" not in rule["name"]} <= (
        recorded
    )


def test_deletion_costs_are_set_by_somebody_who_may_do_that_and_no_more() -> None:
    rendered = render(CHART, TWO)
    pod = rendered.one("Deployment", "-deletion-cost")["spec"]["template"]["spec"]
    binding = rendered.one("RoleBinding", "-deletion-cost")

    assert binding["subjects"][0]["name"] == pod["serviceAccountName"]
    assert rendered.one("Role", binding["roleRef"]["name"])["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}
    ]


def test_who_sets_deletion_costs_is_told_to_look_at_the_cells_of_deployments() -> None:
    rendered = render(CHART, TWO)
    arguments = rendered.one("Deployment", "-deletion-cost")["spec"]["template"]["spec"]["containers"][0]["args"]
    parser = ArgumentParser()
    add_options(parser)
    given = parser.parse_args(arguments)
    *wanted, unwanted = given.selector.split(",")
    labels = rendered.one("Deployment", "-engine-small")["spec"]["template"]["metadata"]["labels"]

    assert (given.namespace, given.interval) == ("prod", 5)
    assert dict(part.split("=") for part in wanted).items() <= labels.items()
    assert unwanted == "!leaderworkerset.sigs.k8s.io/name"


@pytest.mark.parametrize(
    "values",
    [
        {**TWO, "scaling": {"deletionCost": {"enabled": False}}},
        {**TWO, "scaling": {"enabled": False}},
        {"models": [TWO["models"][1]]},
    ],
)
def test_nobody_sets_deletion_costs_where_no_deployment_of_cells_is_scaled(values: dict[str, Any]) -> None:
    names = [one["metadata"]["name"] for one in render(CHART, values).objects]

    assert not any("deletion-cost" in name for name in names)
