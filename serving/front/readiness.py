"""Whether this front takes new requests, and who has to hear of the first time that it does."""

from __future__ import annotations

from collections.abc import Callable

from serving.front.route import Fleet


class Readiness:
    """Where requests wait for an engine of a known model, `waits`, no engine need be up: they wake the first one."""

    def __init__(self, fleet: Fleet, *, waits: bool) -> None:
        self._fleet = fleet
        self._waits = waits
        self.is_leaving = False
        self._announce: Callable[[], None] | None = None

    def is_ready(self) -> bool:
        return not self.is_leaving and (self._waits or self._fleet.is_ready())

    def end(self) -> None:
        """Never again."""
        self.is_leaving = True

    def tell(self, announce: Callable[[], None]) -> None:
        """Call this the next time that `look` finds the front ready, once."""
        self._announce = announce

    def look(self) -> None:
        """The fleet was looked at."""
        if self._announce is not None and self.is_ready():
            announce, self._announce = self._announce, None
            announce()
