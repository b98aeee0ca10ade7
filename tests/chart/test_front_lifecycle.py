"""How many fronts there are, how they start and how they end without cutting a stream."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from autoscale import signals
from serving.metrics import FrontSeries
from tests.chart.conftest import CHART, release
from tests.support.helm import Obj, Rendered, render

FIXED = {"scaling": {"enabled": False}}
SQLITE = {"store": {"kind": "sqlite"}, "front": {"replicas": 1, "autoscaling": {"enabled": False}}}


def deployment(rendered: Rendered) -> Obj:
    return dict(rendered.one("Deployment", "-front")["spec"])


def pod(rendered: Rendered) -> Obj:
    return dict(deployment(rendered)["template"]["spec"])


def settings(rendered: Rendered) -> dict[str, Any]:
    return dict(yaml.safe_load(rendered.one("ConfigMap", "-front")["data"]["settings.yaml"])["front"])


def budgets(values: dict[str, Any]) -> list[str]:
    return [one["metadata"]["name"] for one in render(CHART, values).of("PodDisruptionBudget") if "front" in str(one)]


@pytest.mark.parametrize(("delay", "drain"), [(10, 150), (0, 600), (2.5, 30)])
def test_a_pod_is_killed_only_after_the_fronts_own_drain(delay: float, drain: float) -> None:
    rendered = render(CHART, {"front": {"drainDelaySeconds": delay, "drainSeconds": drain}})
    told = settings(rendered)

    assert (told["drain_delay_seconds"], told["drain_seconds"]) == (delay, drain)
    assert pod(rendered)["terminationGracePeriodSeconds"] >= delay + drain + 10


def test_a_stopping_front_serves_until_every_load_balancer_has_seen_it_go(rendered: Rendered) -> None:
    readiness = pod(rendered)["containers"][0]["readinessProbe"]

    assert settings(rendered)["drain_delay_seconds"] > readiness["periodSeconds"] * readiness["failureThreshold"]


def test_a_front_outlasts_the_longest_stream_of_a_leaving_cell(rendered: Rendered) -> None:
    drains = [
        float(entry["value"])
        for _, spec in rendered.pods()
        for container in spec["containers"]
        for entry in container.get("env", [])
        if entry["name"] == "TIDEGATE_ENGINE__DRAIN__STREAM_SECONDS"
    ]

    assert drains
    assert settings(rendered)["drain_seconds"] >= max(drains)


def test_a_scaled_front_has_no_replicas_of_its_own() -> None:
    rendered = release("default")
    scaled = rendered.one("ScaledObject", "-front")["spec"]

    assert "replicas" not in deployment(rendered)
    assert scaled["scaleTargetRef"]["name"] == rendered.one("Deployment", "-front")["metadata"]["name"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 10)


def test_a_front_scales_by_its_requests_in_flight_and_never_shrinks_because_nothing_answers() -> None:
    scaled = release("default").one("ScaledObject", "-front")["spec"]
    (trigger,) = scaled["triggers"]
    query = trigger["metadata"]["query"]

    assert query.startswith(f"sum({FrontSeries.IN_FLIGHT}{{")
    assert 'namespace="prod"' in query
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"]["threshold"] == "500"
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert scaled["fallback"]["behavior"] == "currentReplicasIfHigher"


@pytest.mark.parametrize(("asked", "threshold"), [({}, None), ({"requestsInFlight": 80}, 80)])
def test_what_scales_a_front_is_what_the_signals_say(asked: dict[str, int], threshold: int | None) -> None:
    front = signals.load().front
    (trigger,) = render(CHART, {"front": {"autoscaling": asked}}).one("ScaledObject", "-front")["spec"]["triggers"]

    assert (trigger["name"], trigger["metricType"]) == (front.name, front.metric_type)
    assert trigger["metadata"]["query"] == signals.load().front_query("chat-front", ',namespace="prod"')
    assert trigger["metadata"]["threshold"] == str(threshold or front.threshold)


def test_a_bearer_token_for_prometheus_serves_the_fronts_query_too() -> None:
    own = {"keda": {"prometheus": {"authModes": "bearer", "authenticationRef": {"name": "prometheus"}}}}
    (trigger,) = render(CHART, own).one("ScaledObject", "-front")["spec"]["triggers"]

    assert trigger["metadata"]["authModes"] == "bearer"
    assert trigger["authenticationRef"] == {"name": "prometheus"}


@pytest.mark.parametrize("values", [FIXED, {"front": {"autoscaling": {"enabled": False}}}])
def test_a_front_that_is_not_scaled_has_its_replicas(values: dict[str, Any]) -> None:
    rendered = render(CHART, values)

    assert deployment(rendered)["replicas"] == 2
    assert [one for one in rendered.of("ScaledObject") if one["metadata"]["name"].endswith("-front")] == []


def test_a_single_front_has_no_budget_that_would_block_its_node() -> None:
    single = {"replicas": 1, "autoscaling": {"minReplicas": 1}}

    assert budgets({}) == ["chat-front"]
    assert budgets({"front": single}) == []
    assert budgets({"front": single, **FIXED}) == []


def test_a_rollout_takes_no_front_away_before_another_is_there() -> None:
    strategy = deployment(release("default"))["strategy"]

    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0


def test_the_fronts_file_never_has_two_owners() -> None:
    rendered = render(CHART, SQLITE)

    assert deployment(rendered)["strategy"] == {"type": "Recreate"}
    assert deployment(rendered)["replicas"] == 1


def test_a_front_with_a_database_waits_for_it_with_the_same_settings() -> None:
    spec = pod(release("default"))
    (waiting,) = spec["initContainers"]
    (front,) = spec["containers"]

    assert waiting["env"] == front["env"]
    assert waiting["image"] == front["image"]
    assert "initContainers" not in pod(render(CHART, SQLITE))
    assert "initContainers" not in pod(release("aws"))


def test_probes_ask_the_admin_port() -> None:
    (front,) = pod(release("default"))["containers"]
    ports = {one["name"]: one["containerPort"] for one in front["ports"]}

    assert {kind: front[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {ports[front[f"{kind}Probe"]["httpGet"]["port"]] for kind in ("startup", "liveness", "readiness")} == {9000}


def test_a_front_may_watch_endpoint_slices_and_nothing_else() -> None:
    rendered = release("default")
    (rule,) = rendered.one("Role", "-front")["rules"]
    binding = rendered.one("RoleBinding", "-front")

    assert (rule["apiGroups"], rule["resources"]) == (["discovery.k8s.io"], ["endpointslices"])
    assert set(rule["verbs"]) == {"list", "watch"}
    assert binding["roleRef"]["name"] == rendered.one("Role", "-front")["metadata"]["name"]
    assert [one["name"] for one in binding["subjects"]] == [pod(rendered)["serviceAccountName"]]


def test_a_fronts_role_on_aws_is_its_service_accounts() -> None:
    account = release("aws").one("ServiceAccount", "-front")

    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")
