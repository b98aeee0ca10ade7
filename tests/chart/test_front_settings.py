"""What the chart tells a front, read by the front's own code."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from serving.adapters import known_keys, stores
from serving.adapters.redis.address import address
from serving.settings import FrontSettings
from serving.settings_sources import ENV_PREFIX, fields, load, variable
from tests.chart.conftest import CHART
from tests.support.helm import Obj, Rendered, render, scenario

_GIVEN = {"TIDEGATE_FRONT__REDIS": "rediss://:p@cache:6380/0", "TIDEGATE_FRONT__STORE": "postgresql://u:p@db/chat"}


def secret(rendered: Rendered, name: str) -> dict[str, str]:
    data = rendered.one("Secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def container(rendered: Rendered) -> Obj:
    return rendered.one("Deployment", "-front")["spec"]["template"]["spec"]["containers"][0]


def environment(rendered: Rendered) -> dict[str, str]:
    """As the kubelet would make it; a Secret that is not the chart's has what the values ask of it."""
    made = {one["metadata"]["name"]: one["data"] for one in rendered.of("Secret")}
    found: dict[str, str] = {}
    for entry in container(rendered)["env"]:
        if "value" in entry:
            found[entry["name"]] = entry["value"]
            continue
        source = entry["valueFrom"]["secretKeyRef"]
        data = made.get(source["name"])
        found[entry["name"]] = base64.b64decode(data[source["key"]]).decode() if data else _GIVEN[source["key"]]
    return found


def front(rendered: Rendered, folder: Path) -> FrontSettings:
    """The settings that the front would start with."""
    environ = environment(rendered)
    file = folder / "settings.yaml"
    mounts = {mount["name"]: mount["mountPath"] for mount in container(rendered)["volumeMounts"]}
    assert environ.pop("TIDEGATE_CONFIG") == f"{mounts['settings']}/settings.yaml"
    file.write_text(rendered.one("ConfigMap", "-front")["data"]["settings.yaml"], encoding="utf-8")
    return load({}, environ, str(file)).front


def values_with(settings: dict[str, Any]) -> dict[str, Any]:
    return {"front": {"settings": settings}}


def test_a_front_starts_with_what_each_scenario_tells_it(rendered: Rendered, tmp_path: Path) -> None:
    settings = front(rendered, tmp_path)

    assert settings.store is not None
    assert stores.parse(settings.store)
    if settings.redis is not None:
        assert address(settings.redis).port
    assert settings.cache_salt_secret


def test_every_variable_of_ours_in_any_pod_is_a_setting(rendered: Rendered) -> None:
    known = {variable(key) for key, *_ in fields()} | {"TIDEGATE_CONFIG"}
    used = {
        entry["name"]
        for _, pod in rendered.pods()
        for one in [*pod.get("initContainers", []), *pod["containers"]]
        for entry in one.get("env", [])
        if entry["name"].startswith(ENV_PREFIX)
    }

    assert used - known == set()


def test_a_front_looks_for_the_cells_behind_each_models_service(rendered: Rendered, tmp_path: Path) -> None:
    settings = front(rendered, tmp_path)
    services = {
        f"prod/{one['metadata']['name']}:{port['name']}"
        for one in rendered.of("Service")
        if one["spec"]["selector"]["app.kubernetes.io/component"] == "engine"
        for port in one["spec"]["ports"]
    }

    assert set(settings.endpoint_slices) == services
    assert len(settings.models) == len(services)


def test_the_key_that_is_made_opens_the_front_and_is_not_in_its_pod(tmp_path: Path) -> None:
    rendered = render(CHART)
    made = secret(rendered, "-keys")
    file = tmp_path / "keys.yaml"
    file.write_text(made["keys.yaml"], encoding="utf-8")

    caller = known_keys.read((), str(file), b"salt", {"chat"}).find(hashlib.sha256(made["api-key"].encode()).digest())

    assert caller is not None
    assert made["api-key"] not in made["keys.yaml"]
    volumes = {one["name"]: one for one in rendered.one("Deployment", "-front")["spec"]["template"]["spec"]["volumes"]}
    assert [item["key"] for item in volumes["keys"]["secret"]["items"]] == ["keys.yaml"]
    assert front(rendered, tmp_path).keys_file == "/etc/tidegate/keys/keys.yaml"


def test_a_front_asks_the_charts_own_redis_with_its_password(tmp_path: Path) -> None:
    rendered = render(CHART)
    asked = address(front(rendered, tmp_path).redis or "")
    service = rendered.one("Service", "-redis")

    assert (asked.host, asked.port) == (f"{service['metadata']['name']}.prod", service["spec"]["ports"][0]["port"])
    assert secret(rendered, "-redis")["password.conf"] == f"requirepass {asked.password}\n"


def test_a_front_asks_the_charts_own_postgresql(tmp_path: Path) -> None:
    rendered = render(CHART)
    service = rendered.one("Service", "-postgres")
    server = rendered.one("StatefulSet", "-postgres")["spec"]["template"]["spec"]["containers"][0]
    names = {entry["name"]: entry.get("value") for entry in server["env"]}

    url = front(rendered, tmp_path).store

    port = service["spec"]["ports"][0]["port"]
    assert url == (
        f"postgresql://{names['POSTGRES_USER']}@{service['metadata']['name']}.prod:{port}/{names['POSTGRES_DB']}"
    )
    assert environment(rendered)["PGPASSWORD"] == secret(rendered, "-postgres")["POSTGRES_PASSWORD"]


def test_a_front_on_aws_knows_its_table_and_region(tmp_path: Path) -> None:
    rendered = render(CHART, scenario(CHART, "aws"))

    assert front(rendered, tmp_path).store == "dynamodb://tidegate-chat?region=us-east-1"
    assert environment(rendered)["AWS_REGION"] == "us-east-1"


def test_settings_of_the_front_reach_it_unchanged(tmp_path: Path) -> None:
    given = {"limits": {"body_bytes": 67108864}, "hold": {"seconds": 0.5}, "slo": {"chat": {"ttft_seconds": 0.25}}}

    settings = front(render(CHART, values_with(given)), tmp_path)

    assert settings.limits.body_bytes == 67108864
    assert settings.hold.seconds == 0.5
    assert settings.slo["chat"].ttft_seconds == 0.25


@pytest.mark.parametrize("key", ["port", "store", "keys_file", "drain_seconds", "endpoint_slices"])
def test_a_setting_that_the_chart_derives_cannot_be_given_twice(key: str) -> None:
    with pytest.raises(helm_python.HelmError, match=rf"front\.settings\.{key} is the chart's to set"):
        render(CHART, values_with({key: 1}))


def test_a_secret_cannot_be_given_as_a_setting() -> None:
    with pytest.raises(helm_python.HelmError, match=r"TIDEGATE_FRONT__API_KEYS into a Secret"):
        render(CHART, values_with({"api_keys": ["sk-x"]}))


def test_a_front_restarts_for_a_changed_setting_and_for_nothing_else() -> None:
    def checksum(settings: dict[str, Any]) -> str:
        pod = render(CHART, values_with(settings)).one("Deployment", "-front")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({})
    assert checksum({}) != checksum({"heartbeat_seconds": 5})


def test_the_settings_file_holds_no_secret(rendered: Rendered) -> None:
    front_file = yaml.safe_load(rendered.one("ConfigMap", "-front")["data"]["settings.yaml"])["front"]

    assert front_file.keys() & {"api_keys", "cache_salt_secret", "engine_api_key", "ray_token"} == set()
