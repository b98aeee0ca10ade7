"""One probe as the message that tells a worker to run its share of it; it knows no locust and no schedule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.client.prompts import TokenScale


@dataclass(frozen=True)
class Probe:
    """One rate offered for a while. The seed makes the schedule, so every worker finds the same one by itself."""

    number: int
    target: int
    """Index into the plan's targets."""
    rate: float
    """Requests per second, over all shares; 0: a trace's own times."""
    seconds: float
    """How long turns begin; what is in flight then is followed to its limits."""
    seed: int
    token_scale: TokenScale = field(default_factory=TokenScale)
    """As the conductor measured it at the server."""
    share: int = 0
    shares: int = 1
    """This worker's sessions are those whose index leaves `share` when divided by `shares`."""
    begin_in_seconds: float = 0.5
    """From the message's arrival: room for making the schedule."""
    run: str = ""
    """Unique to the run: no prompt or session of an earlier run is met again in the server's caches."""

    def to_message(self) -> dict[str, Any]:
        """For locust's messages."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Probe:
        """The probe of `to_message`."""
        return cls(**{**message, "token_scale": TokenScale(**message["token_scale"])})
