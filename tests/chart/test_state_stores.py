"""Redis and the durable store: the chart's own and those of somebody else."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from serving.adapters.postgres import connections as pool
from tests.chart.conftest import CHART, release
from tests.support.helm import Obj, Rendered, render

ONE_FRONT = {"replicas": 1, "autoscaling": {"enabled": False}}
KEEP = {"helm.sh/resource-policy": "keep"}


def server(rendered: Rendered, name: str) -> tuple[Obj, Obj]:
    """The StatefulSet's spec and its container."""
    spec = rendered.one("StatefulSet", name)["spec"]
    return spec, spec["template"]["spec"]["containers"][0]


def volume(rendered: Rendered, workload: Obj, name: str) -> Obj:
    return next(one for one in workload["template"]["spec"]["volumes"] if one["name"] == name)


def secrets_asked(rendered: Rendered) -> set[tuple[str, str]]:
    return {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for _, pod in rendered.pods()
        for container in [*pod.get("initContainers", []), *pod["containers"]]
        for entry in container.get("env", [])
        if "secretKeyRef" in entry.get("valueFrom", {})
    }


def kinds(rendered: Rendered, component: str) -> set[str]:
    wanted = {"app.kubernetes.io/component": component}
    return {one["kind"] for one in rendered.objects if wanted.items() <= one["metadata"]["labels"].items()}


def test_every_key_that_a_pod_takes_from_a_secret_of_ours_is_in_it(rendered: Rendered) -> None:
    made = {one["metadata"]["name"]: set(one["data"]) for one in rendered.of("Secret")}
    asked = secrets_asked(rendered)

    assert any(name in made for name, _ in asked)
    assert {(name, key) for name, key in asked if name in made and key not in made[name]} == set()


def test_every_file_that_a_pod_mounts_from_a_secret_of_ours_is_in_it(rendered: Rendered) -> None:
    made = {one["metadata"]["name"]: set(one["data"]) for one in rendered.of("Secret")}
    for owner, pod in rendered.pods():
        for one in pod.get("volumes", []):
            if "secret" in one and one["secret"]["secretName"] in made:
                assert {item["key"] for item in one["secret"]["items"]} <= made[one["secret"]["secretName"]], owner


def test_redis_takes_its_password_from_a_file_and_its_probes_from_the_environment() -> None:
    _, redis = server(release("default"), "-redis")
    mounted = next(one["mountPath"] for one in redis["volumeMounts"] if one["name"] == "password")

    assert redis["args"][:2] == ["redis-server", f"{mounted}/password.conf"]
    assert {entry["name"] for entry in redis["env"]} == {"REDISCLI_AUTH"}
    assert not any("requirepass" in word for word in redis["args"])


def test_redis_drops_what_expires_first_and_has_room_for_its_rewrite() -> None:
    _, redis = server(release("default"), "-redis")
    options = dict(zip(redis["args"][2::2], redis["args"][3::2], strict=True))

    assert options["--maxmemory-policy"] == "volatile-lru"
    assert options["--appendonly"] == "yes"
    limit_gi = int(redis["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert 2 * int(options["--maxmemory"].removesuffix("mb")) <= 1024 * limit_gi
    assert options["--dir"] in {one["mountPath"] for one in redis["volumeMounts"]}


@pytest.mark.parametrize(
    ("component", "values"),
    [
        ("redis", lambda size: {"redis": {"persistence": {"size": size, "storageClass": "fast"}}}),
        ("postgres", lambda size: {"store": {"postgres": {"size": size, "storageClass": "fast"}}}),
    ],
)
def test_a_stores_data_is_on_a_claim_or_goes_with_the_pod(component: str, values: Any) -> None:
    rendered = render(CHART, values("7Gi"))
    spec, _ = server(rendered, f"-{component}")
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert claim["spec"]["storageClassName"] == "fast"

    spec, _ = server(render(CHART, values("")), f"-{component}")
    assert "volumeClaimTemplates" not in spec
    assert next(one for one in spec["template"]["spec"]["volumes"] if one["name"] == "data")["emptyDir"] == {}


def test_postgresql_keeps_its_data_below_the_claim_and_not_in_it() -> None:
    _, postgres = server(release("default"), "-postgres")
    data = next(entry["value"] for entry in postgres["env"] if entry["name"] == "PGDATA")
    mounted = next(one["mountPath"] for one in postgres["volumeMounts"] if one["name"] == "data")

    assert PurePosixPath(mounted) in PurePosixPath(data).parents
    # The image of version 18 refuses a mount where 17 had its data.
    assert mounted == "/var/lib/postgresql"


@pytest.mark.parametrize("most", [2, 10, 40])
def test_postgresql_has_connections_for_every_front_there_can_be(most: int) -> None:
    _, postgres = server(render(CHART, {"front": {"autoscaling": {"maxReplicas": most}}}), "-postgres")
    (connections,) = re.findall(r"max_connections=(\d+)", " ".join(postgres["args"]))

    assert int(connections) > (most + 1) * pool._SIZE


def test_the_password_outlives_the_release_where_the_database_does() -> None:
    assert release("default").one("Secret", "-postgres")["metadata"]["annotations"] == KEEP
    fleeting = render(CHART, {"store": {"postgres": {"size": ""}}}).one("Secret", "-postgres")
    assert "annotations" not in fleeting["metadata"]


def test_a_password_of_ones_own_is_used_by_the_database_and_the_front() -> None:
    rendered = render(CHART, {"store": {"postgres": {"existingSecret": "mine"}}})

    assert {name for name, key in secrets_asked(rendered) if key == "POSTGRES_PASSWORD"} == {"mine"}
    assert [one for one in rendered.of("Secret") if one["metadata"]["name"].endswith("-postgres")] == []


@pytest.mark.parametrize(("size", "source"), [("5Gi", "persistentVolumeClaim"), ("", "emptyDir")])
def test_sqlites_file_is_on_a_claim_that_stays_or_goes_with_the_pod(size: str, source: str) -> None:
    rendered = render(CHART, {"front": ONE_FRONT, "store": {"kind": "sqlite", "sqlite": {"size": size}}})
    workload = rendered.one("Deployment", "-front")["spec"]
    claims = {one["metadata"]["name"]: one["metadata"]["annotations"] for one in rendered.of("PersistentVolumeClaim")}

    state = volume(rendered, workload, "state")
    assert source in state
    assert claims == ({state[source]["claimName"]: KEEP} if size else {})


@pytest.mark.parametrize(
    ("scenario", "absent"),
    [
        ("external-redis-postgres", ("redis", "postgres")),
        ("aws", ("redis", "postgres")),
        ("cpu", ("postgres",)),
    ],
)
def test_a_store_that_is_somewhere_else_leaves_nothing_of_it_here(scenario: str, absent: tuple[str, ...]) -> None:
    assert [kinds(release(scenario), component) for component in absent] == [set() for _ in absent]


def test_urls_of_somebody_elses_stores_come_from_their_secrets() -> None:
    asked = secrets_asked(release("external-redis-postgres"))

    assert {("chat-redis-url", "TIDEGATE_FRONT__REDIS"), ("chat-store-url", "TIDEGATE_FRONT__STORE")} <= asked
