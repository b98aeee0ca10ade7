"""What was decided and why, as values: by KEDA's poll and by the HPA's sync; how it reads is `explain.py`'s."""

from __future__ import annotations

from typing import Literal, NamedTuple

from autoscale.decide.reading import Answer

MetricType = Literal["AverageValue", "Value"]


class Signal(NamedTuple):
    """One trigger: what its query answered, and what KEDA made of it."""

    key: str
    answer: Answer
    value: float | None
    """None: an error, or nil."""
    failures: int = 0
    """In a row, this one included."""
    is_fallback: bool = False
    is_nil: bool = False
    """It failed so often that the formula gets nil for it (fallback behavior scalingModifiers)."""


class Metric(NamedTuple):
    """An external metric as the HPA reads it from KEDA."""

    name: str
    metric_type: MetricType
    target_milli: int
    value_milli: int | None
    """None: the read failed."""
    is_fallback: bool = False
    why: str = ""
    """Why it failed, or where a value that no query gave is from."""


class Proposal(NamedTuple):
    """What one metric asks for."""

    metric: Metric
    ratio: float
    """Of the value to what the target allows; NaN where it could not be read."""
    replicas: int | None
    in_tolerance: bool = False
    why: str = ""
    """Why there is none."""


Limit = Literal[
    "",
    "ScalingDisabled",
    "AboveMax",
    "BelowMin",
    "MetricsFailed",
    "ScaleUpStabilized",
    "ScaleDownStabilized",
    "ScaleUpLimit",
    "TooManyReplicas",
    "ScaleDownLimit",
    "TooFewReplicas",
    "ScalerActive",
    "ScalerNotActive",
    "ScalerCooldown",
    "AwaitsFallback",
    "TriggerError",
    "PartialTriggerError",
]
"""The rule that had the last word, by the name that the HPA's or KEDA's condition has for it; "": none."""


class Decision(NamedTuple):
    """`replicas` is what is written to the workload; None: it is left as it is."""

    replicas: int | None
    limit: Limit = ""
    signals: tuple[Signal, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    wanted: int | None = None
    """What the metrics ask for, before windows, policies, minimum and maximum; None: they could not say."""
    stabilized: int | None = None
    """After the windows."""
    is_active: bool | None = None
    """A poll's: whether anything is going on; None: a sync's."""
