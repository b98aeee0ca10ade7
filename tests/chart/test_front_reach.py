"""Who reaches the front and whom it reaches: services, ingress, network policies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.conftest import CHART, release
from tests.chart.network import OUTSIDE, Network, Peer
from tests.support.helm import Obj, Rendered, render, scenario

PROMETHEUS = Peer({"app.kubernetes.io/name": "prometheus"}, "monitoring")
STRANGER = Peer({"app": "else"}, "elsewhere")


def templates(rendered: Rendered) -> list[Obj]:
    """The pod template, or the pod, of each workload, with its labels."""
    found = [one["spec"]["template"] for one in rendered.objects if "template" in (one.get("spec") or {})]
    return [*found, *rendered.of("Pod")]


def pod(component: str, name: str = "default") -> Peer:
    labels = [one["metadata"]["labels"] for one in templates(release(name))]
    return Peer(next(one for one in labels if one["app.kubernetes.io/component"] == component))


def annotations(preset: str, **values: Any) -> dict[str, str]:
    ingress = {"enabled": True, "preset": preset, "annotations": values.pop("annotations", {})}
    return dict(render(CHART, {"ingress": ingress, **values}).one("Ingress")["metadata"]["annotations"])


def test_every_service_leads_to_a_port_of_some_pod_by_name(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        chosen = [
            one
            for one in templates(rendered)
            if service["spec"]["selector"].items() <= one["metadata"]["labels"].items()
        ]
        groups = (
            [
                one["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
                for one in rendered.of("LeaderWorkerSet")
                if service["spec"]["selector"]["tidegate.io/model"] == one["metadata"]["labels"]["tidegate.io/model"]
            ]
            if "tidegate.io/model" in service["spec"]["selector"]
            else []
        )
        named = {
            port["name"]
            for one in [*chosen, *groups]
            for container in one["spec"]["containers"]
            for port in container.get("ports", [])
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named, service["metadata"]["name"]


def test_clients_do_not_reach_the_admin_port_by_the_service() -> None:
    ports = release("default").one("Service", "-front")["spec"]["ports"]

    assert [port["targetPort"] for port in ports] == ["http"]


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (STRANGER, pod("front"), 8000),
        (OUTSIDE, pod("front"), 8000),
        (PROMETHEUS, pod("front"), 9000),
        (PROMETHEUS, pod("engine"), 30000),
        (pod("front"), pod("engine"), 30000),
        (pod("front"), pod("redis"), 6379),
        (pod("front"), pod("postgres"), 5432),
        (pod("front"), OUTSIDE, 443),
        (pod("front"), OUTSIDE, 6443),
        (pod("engine"), OUTSIDE, 443),
        (pod("engine"), pod("engine"), 41000),
        (pod("test"), pod("front"), 8000),
        (pod("deletion-cost"), pod("engine"), 30000),
        (pod("deletion-cost"), OUTSIDE, 443),
    ],
)
def test_what_must_talk_may(source: Peer, target: Peer, port: int) -> None:
    assert Network.of(release("default")).allows(source, target, port)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (STRANGER, pod("front"), 9000),
        (STRANGER, pod("engine"), 30000),
        (STRANGER, pod("redis"), 6379),
        (STRANGER, pod("postgres"), 5432),
        (PROMETHEUS, pod("redis"), 6379),
        (pod("engine"), pod("redis"), 6379),
        (pod("engine"), pod("postgres"), 5432),
        (pod("engine"), pod("front"), 9000),
        (pod("test"), pod("redis"), 6379),
        (pod("redis"), OUTSIDE, 443),
        (pod("postgres"), OUTSIDE, 443),
        (pod("front"), OUTSIDE, 5432),
        (pod("front"), OUTSIDE, 22),
    ],
)
def test_what_need_not_talk_may_not(source: Peer, target: Peer, port: int) -> None:
    assert not Network.of(release("default")).allows(source, target, port)


def test_every_pod_is_denied_what_no_rule_allows(rendered: Rendered) -> None:
    network = Network.of(rendered)

    for one in templates(rendered):
        here = Peer(one["metadata"]["labels"])
        assert network.covers(here, "Ingress"), here
        assert network.covers(here, "Egress"), here


def test_a_front_reaches_stores_that_are_somewhere_else() -> None:
    front = pod("front", "external-redis-postgres")
    network = Network.of(release("external-redis-postgres"))

    assert network.allows(front, OUTSIDE, 6380)
    assert network.allows(front, OUTSIDE, 5432)


def test_callers_can_be_narrowed_to_an_ingress_controller_and_the_helm_test() -> None:
    network = Network.of(release("external-redis-postgres"))
    front = pod("front", "external-redis-postgres")

    assert network.allows(Peer({"app": "nginx"}, "ingress-nginx"), front, 8000)
    assert network.allows(pod("test", "external-redis-postgres"), front, 8000)
    assert not network.allows(STRANGER, front, 8000)


def test_no_policy_where_they_are_turned_off() -> None:
    assert render(CHART, {"networkPolicy": {"enabled": False}}).of("NetworkPolicy") == []


@pytest.mark.parametrize("total_seconds", [600, 7200])
def test_nginx_waits_as_long_as_the_front_and_holds_nothing_back(total_seconds: int) -> None:
    settings = {"timeouts": {"total_seconds": total_seconds}, "limits": {"body_bytes": 33554432}}
    said = annotations("nginx", front={"settings": settings})

    prefix = "nginx.ingress.kubernetes.io/"
    assert said[f"{prefix}proxy-buffering"] == "off"
    assert int(said[f"{prefix}proxy-read-timeout"]) == int(said[f"{prefix}proxy-send-timeout"]) == total_seconds
    assert int(said[f"{prefix}proxy-body-size"]) == 33554432


@pytest.mark.parametrize(("total_seconds", "idle_seconds"), [(600, 600), (7200, 4000)])
def test_an_alb_waits_as_long_as_it_can_and_forgets_a_front_after_its_drain(
    total_seconds: int, idle_seconds: int
) -> None:
    front = {"settings": {"timeouts": {"total_seconds": total_seconds}}, "drainDelaySeconds": 20, "drainSeconds": 300}
    said = annotations("alb", front=front)

    prefix = "alb.ingress.kubernetes.io/"
    assert said[f"{prefix}load-balancer-attributes"] == f"idle_timeout.timeout_seconds={idle_seconds}"
    assert "deregistration_delay.timeout_seconds=320" in said[f"{prefix}target-group-attributes"]
    assert said[f"{prefix}target-type"] == "ip"
    assert said[f"{prefix}healthcheck-path"] == "/readyz"


def test_an_annotation_of_ones_own_wins_over_the_presets() -> None:
    own = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "10"}

    assert annotations("nginx", annotations=own).items() >= own.items()


def test_an_ingress_leads_to_the_clients_port() -> None:
    rendered = render(CHART, scenario(CHART, "one-gpu"))
    backend = rendered.one("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = rendered.one("Service", "-front")

    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] == service["spec"]["ports"][0]["name"]
