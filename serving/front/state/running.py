"""Generations that may go on without their client: stopped when cancelled, too long, or when the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Protocol

from serving.errors import Cancelled, EngineTimeout, RequestError, ShuttingDown
from serving.front.state.records import Key

_WRITE_SECONDS = 2.0
# Before the end of the server.
_LEAVE_SECONDS = 0.3


class Stoppable(Protocol):
    """A running request."""

    @property
    def at(self) -> float:
        """When it arrived, monotonic seconds."""

    @property
    def is_alone(self) -> bool:
        """Its client left, or was answered before the end."""

    def stop(self, error: RequestError) -> None: ...


class Running:
    """Owns the list. A generation is known by the id that its client may cancel or resume it by."""

    def __init__(self, clock: Callable[[], float], total_seconds: float) -> None:
        self._clock = clock
        self._total = total_seconds
        self._known: dict[Key, Stoppable] = {}
        self._emptied: asyncio.Event | None = None
        self._ends_at = math.inf

    @property
    def alone(self) -> int:
        return sum(request.is_alone for request in self._known.values())

    @property
    def is_ending(self) -> bool:
        """The server is about to end: what only reads streams says so to its clients now."""
        return self._clock() > self._ends_at - _LEAVE_SECONDS

    def end_by(self, at: float) -> None:
        """The server ends then, monotonic seconds."""
        self._ends_at = at

    def add(self, key: Key, request: Stoppable) -> None:
        self._known[key] = request

    def remove(self, key: Key) -> None:
        self._known.pop(key, None)
        if not self._known and self._emptied is not None:
            self._emptied.set()

    def cancel(self, key: Key) -> None:
        """No effect where it does not run here."""
        if (request := self._known.get(key)) is not None:
            request.stop(Cancelled("The response was cancelled."))

    def tick(self) -> None:
        """End what takes longer than the server allows."""
        late = self._clock() - self._total
        for request in [request for request in self._known.values() if request.at < late]:
            request.stop(EngineTimeout("The request took longer than this server allows."))

    async def end(self, within_seconds: float) -> None:
        """Let what runs finish, then stop it, and wait until that is written down."""
        await self._empty(within_seconds)
        for request in list(self._known.values()):
            request.stop(ShuttingDown("The server is shutting down. Try again."))
        await self._empty(_WRITE_SECONDS)

    async def _empty(self, within_seconds: float) -> None:
        if not self._known:
            return
        self._emptied = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), within_seconds)
