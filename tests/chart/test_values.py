"""What can be set: the schema, the pages made of values.yaml, and values that contradict each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.conftest import CHART, SCENARIOS
from tests.chart.values_page import comments, leaves, pages
from tests.support.helm import ROOT, WITH_OPERATORS, render

TEXT = (ROOT / CHART / "values.yaml").read_text(encoding="utf-8")
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
SCHEMA: dict[str, Any] = json.loads((ROOT / CHART / "values.schema.json").read_text(encoding="utf-8"))
META: dict[str, Any] = yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text(encoding="utf-8"))

SQLITE = {"kind": "sqlite"}
ONE = {"replicas": 1, "autoscaling": {"enabled": False}}
INGRESS = {"enabled": True, "tlsSecret": "tls"}
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"tidegate-keda": {"rules": {"alerts": False}}}, r"are under keda here, not under tidegate-keda"),
    ({"keda": {"objects": True}}, r"keda\.objects must stay false"),
    ({"models": []}, r"models is empty and front\.settings\.engines names no server"),
    ({"models": [{"name": "m", "source": "a"}, {"name": "m", "source": "b"}]}, r"the name m is there twice"),
    ({"models": [{"name": "m"}]}, r"m has no source; give a hub id"),
    (
        {
            "models": [{"name": "m", "source": "a", "scaling": {"minReplicas": 0}}],
            "front": {"settings": {"hold": {"seconds": 0}}},
        },
        r"m scales to zero, and front\.settings\.hold\.seconds is 0",
    ),
    ({"front": {"autoscaling": {"minReplicas": 11}}}, r"minReplicas 11 is above front\.autoscaling\.maxReplicas 10"),
    ({"store": SQLITE}, r"sqlite is one file of one front: set front\.autoscaling\.enabled=false"),
    ({"store": SQLITE, "scaling": {"enabled": False}}, r"front\.replicas is 2: set it to 1"),
    ({"store": {"kind": "external-postgres"}}, r"needs store\.external\.existingSecret"),
    ({"store": {"external": {"existingSecret": "s"}}}, r"store\.kind is postgres: set store\.kind=external-postgres"),
    ({"store": {"kind": "dynamodb", "dynamodb": {"table": "chat"}}}, r"needs store\.dynamodb\.table and .*region"),
    ({"redis": {"external": {"url": "redis://r:6379"}}}, r"set redis\.enabled=false, or take redis\.external away"),
    (
        {"redis": {"enabled": False, "external": {"url": "redis://r", "existingSecret": "s"}}},
        r"has a url and an existingSecret: one of them",
    ),
    (
        {"redis": {"enabled": False, "external": {"url": "redis://:secret@r:6379"}}},
        r"put the whole URL into a Secret under TIDEGATE_FRONT__REDIS",
    ),
    ({"ingress": {**INGRESS, "preset": "alb", "host": "h.example"}}, r"alb\.ingress\.kubernetes\.io/certificate-arn"),
    ({"ingress": INGRESS}, r"ingress\.tlsSecret needs ingress\.host"),
]
ABSENT = [
    ({}, "keda.sh/v1alpha1", r"install KEDA >= 2\.20, or set scaling\.enabled=false"),
    ({}, "monitoring.coreos.com/v1/PrometheusRule", r"the Prometheus operator, or set monitoring\.rules=false"),
    ({}, "monitoring.coreos.com/v1/PodMonitor", r"the Prometheus operator, or set monitoring\.podMonitors=false"),
    (
        {"models": [{"name": "m", "source": "a", "pipelineParallelSize": 2}]},
        "leaderworkerset.x-k8s.io/v1",
        r"install the LeaderWorkerSet operator, or set pipelineParallelSize to 1",
    ),
]


def closed(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema that lists its keys."""
    if "properties" in schema:
        yield path, schema
    for key, part in schema.get("properties", {}).items():
        yield from closed(part, f"{path}.{key}".lstrip("."))
    if "items" in schema:
        yield from closed(schema["items"], f"{path}[]")


def parts(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, values
    for key, value in values.items():
        here = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict) and here in dict(closed(SCHEMA)):
            yield from parts(value, here)


def _is_pods(path: str) -> bool:
    return path.endswith("resources")


def test_the_schema_knows_every_value_and_no_other() -> None:
    known = {path: set(part["properties"]) for path, part in closed(SCHEMA)}
    # Helm has `global` and a chart's own name besides; entries of models are compared below, and a `resources` may be
    # anything of a pod's.
    known[""] -= {"global", "tidegate-keda"}
    known = {path: keys for path, keys in known.items() if not path.startswith("models[]") and not _is_pods(path)}

    assert {path: set(part) for path, part in parts(VALUES) if not _is_pods(path)} == known


def test_an_entry_of_models_has_the_keys_of_its_defaults() -> None:
    entry, defaults = SCHEMA["properties"]["models"]["items"], SCHEMA["properties"]["modelDefaults"]

    assert set(entry["properties"]) == set(defaults["properties"])
    assert entry["required"] == ["name"]


def test_every_object_of_the_schema_is_closed() -> None:
    # The keda chart has a schema of its own.
    assert [path for path, part in closed(SCHEMA) if part.get("additionalProperties") is not False] == ["keda"]


def test_every_value_is_described() -> None:
    described = comments(TEXT)

    assert [path for path, _ in leaves(VALUES, described) if path not in described] == []


@pytest.mark.parametrize("page", ["README.md", "values.schema.json"])
def test_the_pages_made_of_values_yaml_are_current(page: str) -> None:
    path = ROOT / CHART / page

    assert path.read_text(encoding="utf-8") == pages()[path], "run `make docs`"


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 3},
        {"front": {"replica": 3}},
        {"models": [{"name": "m", "source": "a", "gpus": 2}]},
        {"models": [{"name": "Qwen/Qwen3", "source": "a"}]},
        {"models": [{"source": "a"}]},
        {"store": {"kind": "mysql"}},
        {"front": {"replicas": 0}},
        {"images": {"front": {"digest": "latest"}}},
        {"redis": {"external": {"url": "http://redis"}}},
    ],
)
def test_what_is_no_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.errors.HelmValuesError):
        render(CHART, values)


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS)
def test_values_that_contradict_each_other_say_how_to_mend_it(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(helm_python.HelmError, match=sentence):
        render(CHART, values)


@pytest.mark.parametrize(("values", "group", "sentence"), ABSENT)
def test_a_cluster_that_lacks_a_kind_is_told_what_to_install(values: dict[str, Any], group: str, sentence: str) -> None:
    there = [one for one in WITH_OPERATORS if not one.startswith(group)]
    with pytest.raises(helm_python.HelmError, match=sentence):
        render(CHART, values, api_versions=there)


def test_without_any_operator_the_chart_can_still_be_installed() -> None:
    values = {"scaling": {"enabled": False}, "monitoring": {"podMonitors": False, "rules": False}}

    kinds = {one["apiVersion"].partition("/")[0] for one in render(CHART, values, api_versions=[]).objects}

    assert not {kind for kind in kinds if kind.endswith((".sh", ".coreos.com"))}


def test_the_chart_is_of_this_packages_version_and_names_its_images() -> None:
    assert META["appVersion"] == version("tidegate")
    assert META["kubeVersion"] == ">=1.25.0-0"
    named = {one["image"] for one in yaml.safe_load(META["annotations"]["artifacthub.io/images"])}
    assert named == {
        f"{VALUES['images']['front']['repository']}:{META['appVersion']}",
        f"{VALUES['images']['engine']['repository']}:{META['appVersion']}",
        VALUES["redis"]["image"],
        VALUES["store"]["postgres"]["image"],
    }


def test_the_keda_chart_that_is_included_is_the_one_beside_it() -> None:
    (dependency,) = META["dependencies"]
    beside = yaml.safe_load(
        (ROOT / CHART / dependency["repository"].removeprefix("file://") / "Chart.yaml").read_text()
    )

    assert (dependency["name"], dependency["version"]) == (beside["name"], beside["version"])


def test_the_readme_lists_the_scenarios() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|", (ROOT / CHART / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(SCENARIOS) <= set(listed)
