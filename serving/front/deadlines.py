"""What a client connection waits for, and since when; it says what is overdue and closes nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to receive a request, for a full socket to take bytes, and between requests."""

    head: float
    write: float
    keep_alive: float


class Deadlines:
    """Monotonic seconds since when each wait goes on; None: it does not."""

    __slots__ = ("idle_since", "receiving_since", "stalled_since")

    def __init__(self, now: float) -> None:
        self.receiving_since: float | None = now
        self.idle_since: float | None = None
        self.stalled_since: float | None = None

    def is_stalled(self, now: float, limits: Limits) -> bool:
        """The client takes no bytes; what is buffered for it will not go out."""
        return self.stalled_since is not None and now - self.stalled_since > limits.write

    def is_over(self, now: float, limits: Limits) -> bool:
        """The client sends no request, or no end of one."""
        return (self.receiving_since is not None and now - self.receiving_since > limits.head) or (
            self.idle_since is not None and now - self.idle_since > limits.keep_alive
        )
