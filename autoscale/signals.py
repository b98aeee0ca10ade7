"""Reads keda/signals.yaml, the one place of PromQL, thresholds and the law; it asks nobody and decides nothing.

The chart expands the recording rules and alerts; here they are data, checked for their shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

PATH = Path(__file__).with_name("signals.yaml")
_PLACEHOLDER = re.compile(r"<<(\w+)>>")

Value = str | float
Source = Literal["front", "engine"]


class Part(BaseModel):
    """A branch of the file: frozen, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameter(Part):
    """A value of one scaled workload."""

    description: str
    unit: str = ""
    default: Value | None = None
    required: bool = False


class Signal(Part):
    """One trigger: a query by the kind of front that there is, and what an absent answer means."""

    description: str
    unit: str
    when_absent: Literal["error", "zero"]
    why_zero: str = ""
    front: str
    engine: str

    def template(self, source: Source) -> str:
        return self.front if source == "front" else self.engine


class Composite(Part):
    """The law: a formula over the signals' names whose result is a number of replicas."""

    formula: str
    target: str
    metric_type: Literal["AverageValue", "Value"]
    activation_target: str


class Front(Part):
    """The one trigger that scales the front itself: a total, of which each replica is to have `threshold`."""

    name: str
    description: str
    unit: str
    when_absent: Literal["error"]
    query: str
    metric_type: Literal["AverageValue"]
    threshold: int = Field(gt=0)


class SloClass(Part):
    """Limits of a good answer; unset: any time is good."""

    ttft_seconds: float | None = None
    tpot_seconds: float | None = None


class Slo(Part):
    """The promise: the share of requests that are good over 30 days, and what good is by class."""

    objective: float = Field(gt=0, lt=1)
    least_requests: int = Field(ge=0)
    classes: dict[str, SloClass]


class Rule(Part):
    """What Prometheus evaluates; it stands once for each entry of `each`, whose keys fill the placeholders."""

    name: str
    description: str
    expr: str
    each: list[dict[str, Value]] = [{}]
    labels: dict[str, str] = {}


class Recorded(Rule):
    """A recording rule."""

    unit: str


class Alert(Rule):
    """An alert, for every model at once, for each scaled target, or for each of its signals that must be there."""

    per: Literal["fleet", "target", "signal"] = "fleet"
    severity: Literal["page", "ticket"] | None = None
    for_: str | None = Field(None, alias="for")
    summary: str


class Signals(Part):
    """The whole file."""

    parameters: dict[str, Parameter]
    selectors: dict[str, str]
    signals: dict[str, Signal]
    composite: Composite
    front: Front
    slo: Slo
    recorded: dict[str, list[Recorded]]
    alerts: list[Alert]

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """All parameters, defaults filled in. Raises `ValueError` for an unknown or a missing one."""
        if unknown := sorted(given.keys() - self.parameters.keys()):
            raise ValueError(f"no such parameter: {', '.join(unknown)}; known: {', '.join(self.parameters)}")
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            value = given.get(name, parameter.default)
            if value is None:
                raise ValueError(f"the parameter {name} is needed: {parameter.description}")
            values[name] = value
        return values

    def query(self, signal: str, source: Source, given: Mapping[str, Value]) -> str:
        """The PromQL of a signal, one line."""
        return self.fill(self.signals[signal].template(source), given)

    def formula(self, given: Mapping[str, Value]) -> str:
        """The law's formula, one line."""
        return self.fill(self.composite.formula, given)

    def fill(self, template: str, given: Mapping[str, Value]) -> str:
        """Selectors first, then parameters. Raises `ValueError` for a name that is neither."""
        return self._filled(template, self.values(given))

    def front_query(self, workload: str, matchers: str = "") -> str:
        """The PromQL of what scales the front, one line; `workload` is its Deployment."""
        return self._filled(self.front.query, {"workload": workload, "matchers": matchers})

    def _filled(self, template: str, values: Mapping[str, Value]) -> str:
        with_selectors = _PLACEHOLDER.sub(lambda found: self.selectors.get(found[1], found[0]), template)
        filled = _PLACEHOLDER.sub(partial(_value, values), with_selectors)
        return " ".join(filled.split())


def load(path: Path = PATH) -> Signals:
    """Raises `ValueError` naming the key that is wrong."""
    return Signals.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def _value(values: Mapping[str, Value], found: re.Match[str]) -> str:
    name = found[1]
    if name not in values:
        raise ValueError(f"<<{name}>> is neither a parameter nor a selector of signals.yaml")
    value = values[name]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
