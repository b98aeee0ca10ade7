"""Holds a rendered object against its kind's schema, closed to unknown fields; it knows no chart and no cluster.

Kubernetes' own kinds come from kubernetes-validate. KEDA's CRDs and the Prometheus operator's rules are read where the
cluster tool keeps them, which is beside the checkout on some machines only: `require_crds` says so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from tests.support.helm import ROOT, Obj
from tests.support.kube_lws import lws_problems

LOWEST, HIGHEST = "1.25", "1.37"
_TOOL = ROOT.parent / "shared" / "cluster"
_CRDS = _TOOL / "crds"
_PROMETHEUS_METADATA = {
    "serverAddress",
    "query",
    "queryParameters",
    "threshold",
    "activationThreshold",
    "namespace",
    "customHeaders",
    "ignoreNullValues",
    "unsafeSsl",
    "timeout",
    "authModes",
}
_COMBINATORS = {"allOf", "anyOf", "oneOf", "not"}


def require_crds() -> None:
    """Skip by name where the CRDs are not beside the checkout: nothing installs them, so the full gate does without."""
    if not _CRDS.is_dir():
        pytest.skip(f"the CRDs in {_CRDS} are not on this machine")


def problems(document: Obj, kubernetes: str) -> list[str]:
    """What a strict API server of that version would refuse, each with the object and the path in it."""
    match document["apiVersion"].partition("/")[0]:
        case "keda.sh":
            found = [*_crd_problems(document), *_keda_problems(document)]
        case "monitoring.coreos.com":
            found = _monitor_problems(document)
        case "leaderworkerset.x-k8s.io":
            found = lws_problems(document, lambda template: _core_problems(template, kubernetes))
        case _:
            found = _core_problems(document, kubernetes)
    return [f"{document['kind']}/{document['metadata'].get('name')}: {problem}" for problem in found]


def _core_problems(document: Obj, kubernetes: str) -> list[str]:
    try:
        kubernetes_validate.validate(document, kubernetes, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {kubernetes} has no {document['kind']} of {document['apiVersion']}"]
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(part) for part in error.path)}: {error.message[:300]} (Kubernetes {kubernetes})"]
    return []


def _crd_problems(document: Obj) -> list[str]:
    validator = Draft7Validator(_crd(document["apiVersion"], document["kind"]))
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]


@cache
def _crd(api_version: str, kind: str) -> Obj:
    group, _, version = api_version.partition("/")
    for path in sorted(_CRDS.glob(f"{group}_*.yaml")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        if spec["names"]["kind"] == kind:
            schema = next(one for one in spec["versions"] if one["name"] == version)["schema"]["openAPIV3Schema"]
            schema = closed(schema)
            schema["properties"]["metadata"] = {"type": "object"}
            return schema
    raise LookupError(f"no CRD of {kind} ({api_version}) in {_CRDS}")


def closed(schema: Any) -> Any:
    """An openAPIV3Schema as Draft 7 that refuses unknown fields wherever the API server would drop them."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = closed(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: closed(value) for name, value in kept["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        kept = {key: value for key, value in kept.items() if key not in ("type", *_COMBINATORS)}
        kept["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return kept


def _keda_problems(document: Obj) -> Iterator[str]:
    """What KEDA's CEL rules and its scalers say, which no schema does."""
    spec = document["spec"]
    low, high = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
    if low > high:
        yield f"minReplicaCount {low} is above maxReplicaCount {high}"
    for trigger in spec["triggers"]:
        metadata = trigger["metadata"]
        yield from (
            f"trigger metadata {key}: not a string" for key, value in metadata.items() if type(value) is not str
        )
        if trigger["type"] != "prometheus":
            yield f"trigger type {trigger['type']}: only prometheus is known here"
        elif unknown := metadata.keys() - _PROMETHEUS_METADATA:
            yield f"trigger metadata: unknown {', '.join(sorted(unknown))}"


def _monitor_problems(document: Obj) -> list[str]:
    """PodMonitors as the cluster tool reads them: an unknown field is an error. Rules are promtool's business."""
    if document["kind"] == "PrometheusRule":
        spec = document["spec"]
        return [f"spec: unknown {', '.join(spec.keys() - {'groups'})}"] if spec.keys() != {"groups"} else []
    scrape = _tool_module("procluster.scrape")
    placed = {**document, "metadata": {"namespace": "default", **document["metadata"]}}
    try:
        scrape.scrape_jobs(placed, {})
    except (scrape.MonitorError, KeyError) as error:
        return [str(error)]
    return []


@cache
def _tool_module(name: str) -> Any:
    folder = str(Path(_TOOL))
    sys.path.append(folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
