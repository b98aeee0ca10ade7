"""ScaledObjects as they stand in files, read leniently: a linter has to look at what KEDA would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from autoscale.lint.promql import PromqlError, parse
from autoscale.lint.promql_nodes import Node

Obj = Mapping[str, Any]


@dataclass(frozen=True)
class Trigger:
    """`node` is None where there is no query or it could not be read; then `complaint` says why."""

    path: str
    kind: str
    name: str
    metric_type: str
    metadata: Obj
    query: str
    node: Node | None = None
    complaint: str = ""

    def text(self, key: str) -> str:
        value = self.metadata.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> float | None:
        try:
            return float(self.text(key))
        except ValueError:
            return None


@dataclass(frozen=True)
class Scaled:
    """One ScaledObject."""

    document: Obj
    name: str
    namespace: str
    spec: Obj
    triggers: tuple[Trigger, ...] = field(default=())

    @property
    def where(self) -> str:
        return f"ScaledObject {self.name}"

    @property
    def target(self) -> tuple[str, str, str]:
        reference = part(self.spec, "scaleTargetRef")
        return self.namespace, str(reference.get("kind", "Deployment")), str(reference.get("name", ""))

    @property
    def modifiers(self) -> Obj:
        return part(part(self.spec, "advanced"), "scalingModifiers")

    @property
    def prometheus(self) -> list[Trigger]:
        return [trigger for trigger in self.triggers if trigger.kind == "prometheus"]

    def whole(self, key: str, default: int) -> int:
        value = self.spec.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default


def part(data: Obj, key: str) -> Obj:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def load(text: str) -> list[Obj]:
    """The mappings of a multi-document YAML text. Raises `yaml.YAMLError`."""
    return [each for each in yaml.safe_load_all(text) if isinstance(each, Mapping)]


def scaled_objects(documents: Iterable[Obj]) -> list[Scaled]:
    return [_scaled(each) for each in documents if each.get("kind") == "ScaledObject"]


def _scaled(document: Obj) -> Scaled:
    metadata, spec = part(document, "metadata"), part(document, "spec")
    entries = spec.get("triggers")
    triggers = [
        _trigger(index, each)
        for index, each in enumerate(entries if isinstance(entries, list) else [])
        if isinstance(each, Mapping)
    ]
    name = str(metadata.get("name", ""))
    return Scaled(document, name, str(metadata.get("namespace", "")), spec, tuple(triggers))


def _trigger(index: int, entry: Obj) -> Trigger:
    metadata = part(entry, "metadata")
    query = metadata.get("query")
    node, complaint = None, ""
    if isinstance(query, str) and query.strip():
        try:
            node = parse(query)
        except PromqlError as error:
            complaint = str(error)
    return Trigger(
        path=f"spec.triggers[{index}]",
        kind=str(entry.get("type", "")),
        name=str(entry.get("name") or ""),
        metric_type=str(entry.get("metricType") or "AverageValue"),
        metadata=metadata,
        query=query if isinstance(query, str) else "",
        node=node,
        complaint=complaint,
    )
