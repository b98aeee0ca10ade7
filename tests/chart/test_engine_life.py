"""How a cell starts, is watched, replaced and drained: probes, time-outs, rollouts, budgets, and whom they mean."""

from __future__ import annotations

import pytest

from tests.support.kube_cells import cells, container, pod, settings


@pytest.mark.parametrize("stream_seconds", [1, 120, 3600])
def test_the_drain_time_outs_are_in_order_and_end_before_the_kill(stream_seconds: int) -> None:
    rendered = cells({"drain": {"preStopSeconds": 7, "streamSeconds": stream_seconds}})
    drain = settings(container(rendered)).drain
    grace_seconds = pod(rendered)["terminationGracePeriodSeconds"]

    assert container(rendered)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]
    assert drain.stream_seconds == stream_seconds
    # The grace period runs from the preStop hook on; the cell hears of its end only after it.
    assert drain.stream_seconds < drain.replica_seconds < drain.node_seconds < grace_seconds - 7
    assert drain.grace_seconds == grace_seconds


@pytest.mark.parametrize("start_seconds", [30, 900, 7200])
def test_no_probe_kills_a_cell_that_loads_or_drains(start_seconds: int) -> None:
    rendered = cells({"startSeconds": start_seconds})
    engine = container(rendered)
    patience = {
        name: engine[name]["periodSeconds"] * engine[name]["failureThreshold"]
        for name in ("startupProbe", "livenessProbe")
    }

    # The cell gives up by itself first, and says why.
    assert settings(engine).start_timeout_seconds < patience["startupProbe"] < start_seconds + 120
    assert patience["livenessProbe"] > max(start_seconds, pod(rendered)["terminationGracePeriodSeconds"])
    assert rendered.one("Deployment", "engine-m")["spec"]["progressDeadlineSeconds"] > patience["startupProbe"]


def test_probes_and_service_go_to_the_port_that_the_cell_listens_on() -> None:
    rendered = cells({})
    engine = container(rendered)
    ports = {port["name"]: port["containerPort"] for port in engine["ports"]}

    assert [engine[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")] == [
        "http"
    ] * 3
    assert ports["http"] == settings(engine).port
    assert rendered.one("Service", "engine-m")["spec"]["ports"][0]["targetPort"] == "http"


def test_a_scaled_cell_has_no_number_of_replicas_and_a_fixed_one_has() -> None:
    rendered = cells({"scaling": {"minReplicas": 2}}, {"name": "n", "scaling": {"enabled": False, "minReplicas": 3}})
    replicas = {name: rendered.one("Deployment", name)["spec"].get("replicas") for name in ("engine-m", "engine-n")}

    assert replicas == {"engine-m": None, "engine-n": 3}
    assert cells({}, scaling={"enabled": False}).one("Deployment", "engine-m")["spec"]["replicas"] == 1


@pytest.mark.parametrize(("fewest", "unavailable"), [(0, 0), (1, 0), (2, 1)])
def test_the_only_cell_waits_for_its_successor_and_one_of_many_need_not(fewest: int, unavailable: int) -> None:
    strategy = cells({"scaling": {"minReplicas": fewest}}).one("Deployment", "engine-m")["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": unavailable}


def test_no_disruption_budget_makes_a_node_impossible_to_drain() -> None:
    budget = cells({}).one("PodDisruptionBudget", "engine-m")

    assert budget["spec"]["maxUnavailable"] == 1


def test_service_budget_and_deployment_of_a_model_mean_the_same_pods_and_no_other_models() -> None:
    rendered = cells({}, {"name": "n"})
    for name in ("engine-m", "engine-n"):
        deployment = rendered.one("Deployment", name)["spec"]
        chosen = deployment["selector"]["matchLabels"]
        assert chosen.items() <= deployment["template"]["metadata"]["labels"].items()
        assert rendered.one("Service", name)["spec"]["selector"] == chosen
        assert rendered.one("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == chosen
        assert not any("version" in label or "chart" in label for label in chosen)
    selectors = [rendered.one("Service", name)["spec"]["selector"] for name in ("engine-m", "engine-n")]
    assert selectors[0] != selectors[1]
