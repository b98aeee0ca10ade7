"""A ScaledObject as frozen values, defaults filled in; reading one from YAML is `read.py`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autoscale.decide.decision import MetricType
from autoscale.decide.formula import Formula

COMPOSITE = "composite-metric"

FallbackBehavior = Literal[
    "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"
]


class SpecError(ValueError):
    """A ScaledObject that KEDA would refuse or that cannot be decided here; the text names the field and the fix."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A Prometheus trigger. `metric` is the external metric's name, `key` is by what `Readings` have its answer."""

    index: int
    name: str
    query: str
    metric_type: MetricType = "AverageValue"
    threshold: float = 1.0
    activation_threshold: float = 0.0
    ignores_null: bool = True
    uses_cache: bool = False

    @property
    def metric(self) -> str:
        return f"s{self.index}-prometheus"

    @property
    def key(self) -> str:
        return self.name or self.metric


@dataclass(frozen=True, slots=True)
class Modifiers:
    """A formula over the triggers' names that replaces their metrics. `target_text` is as it stands in the YAML."""

    formula: Formula
    target: float
    target_text: str
    metric_type: MetricType = "AverageValue"
    activation_target: float = 0.0


@dataclass(frozen=True, slots=True)
class Fallback:
    """What KEDA pretends after more than `failure_threshold` failures in a row."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = "static"


@dataclass(frozen=True, slots=True)
class Policy:
    """At most so many pods, or so many percent, within any period."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_seconds: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction of the HPA's behaviour. `window_seconds` and `tolerance` None: the controller's flags."""

    window_seconds: int | None
    select: Literal["Max", "Min", "Disabled"]
    policies: tuple[Policy, ...]
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Behavior:
    up: Rules
    down: Rules


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """All that decides. `min_replicas` None is KEDA's 0, and 1 for the HPA. `behavior` None: the HPA's older rules."""

    name: str
    workload: str
    triggers: tuple[Trigger, ...]
    namespace: str = "default"
    min_replicas: int | None = None
    max_replicas: int = 100
    idle_replicas: int | None = None
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    initial_cooldown_seconds: float = 0.0
    modifiers: Modifiers | None = None
    fallback: Fallback | None = None
    behavior: Behavior | None = None

    @property
    def hpa_min(self) -> int:
        return self.min_replicas or 1


@dataclass(frozen=True, slots=True)
class HpaSettings:
    """Flags of kube-controller-manager that the HPA goes by."""

    tolerance: float = 0.1
    downscale_window_seconds: int = 300
