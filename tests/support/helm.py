"""Renders a chart with Helm's own engine (helm-python-sdk) into objects; it knows no chart and no cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, _native

Obj = dict[str, Any]
ROOT = Path(__file__).parents[2]
# What a cluster with KEDA and the Prometheus operator has besides Kubernetes' own kinds.
WITH_OPERATORS = (
    "keda.sh/v1alpha1",
    "keda.sh/v1alpha1/ScaledObject",
    "monitoring.coreos.com/v1",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "leaderworkerset.x-k8s.io/v1",
    "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet",
)


class Rendered:
    """The objects of a release, and NOTES.txt apart from them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.notes = "\n".join(text for path, text in files.items() if path.endswith("NOTES.txt"))
        self.objects: list[Obj] = [
            document
            for path, text in sorted(files.items())
            if not path.endswith("NOTES.txt")
            for document in yaml.safe_load_all(text)
            if document
        ]

    def of(self, kind: str) -> list[Obj]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str = "") -> Obj:
        """The only object of a kind, or the one whose name ends so."""
        found = [one for one in self.of(kind) if one["metadata"]["name"].endswith(name)]
        assert len(found) == 1, f"{kind} …{name}: {[one['metadata']['name'] for one in self.of(kind)]}"
        return found[0]

    def pods(self) -> Iterator[tuple[str, Obj]]:
        """Every pod spec with the name of its owner."""
        for one in self.objects:
            name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec") or {}
            if one["kind"] == "Pod":
                yield name, spec
            elif one["kind"] == "CronJob":
                yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
            elif one["kind"] == "LeaderWorkerSet":
                for part in ("leaderTemplate", "workerTemplate"):
                    yield f"{name} {part}", spec["leaderWorkerTemplate"][part]["spec"]
            elif isinstance(spec.get("template"), dict) and "spec" in spec["template"]:
                yield name, spec["template"]["spec"]


def render(
    chart: str,
    values: Mapping[str, Any] | None = None,
    *,
    name: str = "chat",
    namespace: str = "prod",
    kubernetes: str = "1.34.0",
    api_versions: Sequence[str] = WITH_OPERATORS,
) -> Rendered:
    """`chart` is a folder below the repository, e.g. `keda`. Raises `helm_python.HelmError` as Helm would."""
    options = {
        "name": name,
        "namespace": namespace,
        "kube_version": kubernetes,
        "api_versions": list(api_versions),
        "strict": True,
    }
    # The library's own `render` cannot be told which API versions there are; the chart's handle lives as long as it.
    loaded = Chart.load(str(ROOT / chart))
    arguments = json.dumps(dict(values or {})), json.dumps(options)
    return Rendered(json.loads(_native.call_string("helm_render", loaded._raw(), *arguments)))


def scenario(chart: str, file: str) -> dict[str, Any]:
    """A chart's `ci/FILE-values.yaml`."""
    return yaml.safe_load((ROOT / chart / "ci" / f"{file}-values.yaml").read_text(encoding="utf-8")) or {}
