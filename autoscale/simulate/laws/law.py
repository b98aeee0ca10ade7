"""What a law is to the control loop: asked at KEDA's polls and at the HPA's syncs, it answers with a replica count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from autoscale.simulate.world import Pods

Ask = Callable[[str], list[float]]
"""PromQL to the values of its series; raises `Unreachable`."""


class Decision(NamedTuple):
    """An answer and what it rests on."""

    replicas: int | None
    """None: as it is."""
    readings: Mapping[str, float | None] = {}
    """By trigger; None: it could not be read."""
    why: str = ""
    """The trigger that asked for most, or what kept the count as it is."""


class Law(Protocol):
    """One run's scaler: it may remember."""

    @property
    def name(self) -> str: ...

    @property
    def poll_seconds(self) -> float:
        """Between two polls."""

    def poll(self, now: float, pods: Pods, ask: Ask) -> int | None:
        """From none to some and back; None: as it is."""

    def sync(self, now: float, pods: Pods, ask: Ask) -> Decision:
        """From some to more or fewer."""
