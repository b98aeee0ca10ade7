"""What a good answer is: service-level objectives by name, and how a request can end; it measures nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Fault(IntEnum):
    """How a request failed, whatever its times; NONE when it ended as a whole answer."""

    NONE = 0
    ERROR = 1
    """A status of 400 and above that is no shed, an error event, a stream that broke off, no connection."""
    TIMEOUT = 2
    """No first token, or no end, within `limit_seconds`; the client left."""
    SHED = 3
    """429 or 503 with Retry-After: the server refused on purpose."""
    CUT = 4
    """The run ended before the request could; it counts nowhere."""


class Outcome(IntEnum):
    """What a request was worth to its user. Everything but CUT is in the denominator of attainment."""

    GOOD = 0
    SLOW_TTFT = 1
    SLOW_TPOT = 2
    SLOW_E2E = 3
    ERROR = 4
    TIMEOUT = 5
    SHED = 6
    CUT = 7


@dataclass(frozen=True)
class Slo:
    """Limits in seconds; None where there is none. TTFT counts from the scheduled arrival."""

    name: str
    ttft_seconds: float | None
    tpot_seconds: float | None
    e2e_seconds: float | None = None

    def limit_seconds(self, max_tokens: int, grace_seconds: float) -> tuple[float | None, float | None]:
        """When a client gives up, from the scheduled arrival: on the first token, and on the end. None: never."""
        if self.ttft_seconds is None:
            return None, None
        decode = max_tokens * (self.tpot_seconds or 0.05) * 2
        first = self.ttft_seconds + grace_seconds
        return first, first + max(decode, self.e2e_seconds or 0.0)


PRESETS = {
    slo.name: slo
    for slo in (
        Slo("chat", 0.5, 0.05),
        Slo("chat-strict", 0.45, 0.04),
        Slo("code", 0.1, None, 1.0),
        Slo("code-relaxed", 0.5, 0.05),
        Slo("batch", None, None),
    )
}
