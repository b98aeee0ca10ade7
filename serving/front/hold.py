"""The room where requests wait while no engine of their model is ready: bounded, first in first out.

It knows neither engines nor clients: the flow comes with what no engine took, naps here, and tries again when woken.
That happens when the fleet has changed, when another one that waited for the same model found an engine, and to the
first in line every now and then.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType

from serving.errors import EngineFailed, NoEngine, Rejection, RequestError
from serving.front.eager import Wake
from serving.settings import HoldSettings

_RETRY_AFTER_SECONDS = 5
# Ticks in which the first in line shows whether an engine is there at all.
_DOUBTFUL_TICKS = 2


# Calls back in the next turn of the loop. A flow that went on inside somebody's Task would take that for its own.
Soon = Callable[[Callable[[], None]], object]


class Room:
    """Those who wait for one model. `absences` counts the times that one of them found no engine."""

    __slots__ = ("_soon", "absences", "asleep", "members")

    def __init__(self, soon: Soon) -> None:
        self._soon = soon
        self.members = 0
        self.asleep: dict[int, Held] = {}
        self.absences = 0

    def wake(self, chosen: list[Held]) -> None:
        """They go on in this order."""
        for held in chosen:
            del self.asleep[held.number]
            self._soon(held.wake.set)

    def in_order(self) -> list[Held]:
        return [self.asleep[number] for number in sorted(self.asleep)]


class Held:
    """One request in the room. `with` ends its stay; when it found an engine, the others are woken."""

    def __init__(self, hold: Hold, room: Room, model: str, size_bytes: int, until: float) -> None:
        self.number = hold.number()
        self.model = model
        self.size_bytes = size_bytes
        self.until = until
        self.ticks = 0
        self.wake = Wake()
        self._hold = hold
        self._room = room
        self._absences = room.absences
        self._is_doubtful = False

    @property
    def is_excused(self) -> bool:
        """Since it came, somebody found that no engine is there."""
        return self._room.absences > self._absences

    def is_due(self, now: float) -> bool:
        """Its time is over, or it lost its engine and that engine turns out to be there after all."""
        return now >= self.until or (self._is_doubtful and not self.is_excused and self.ticks >= _DOUBTFUL_TICKS)

    async def nap(self, reason: RequestError | None) -> None:
        """Until it may try again; `reason` is why it could not. Raises `NoEngine` when its time is over."""
        room, self.wake = self._room, Wake()
        room.absences += isinstance(reason, NoEngine)
        self._is_doubtful = isinstance(reason, EngineFailed)
        room.asleep[self.number] = self
        try:
            await self.wake
        finally:
            room.asleep.pop(self.number, None)
        self._hold.check(self.until)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hold.leave(self)
        if kind is None:
            self._room.wake(self._room.in_order())


class Hold:
    """Owns the rooms and their bounds."""

    def __init__(self, settings: HoldSettings, clock: Callable[[], float], soon: Soon) -> None:
        self._settings = settings
        self._clock = clock
        self._soon = soon
        self._rooms: dict[str, Room] = {}
        self._numbers = itertools.count()
        self._requests = 0
        self._bytes = 0

    def takes(self, error: RequestError) -> bool:
        """True for what an engine that comes may still answer."""
        if not self._settings.seconds:
            return False
        if isinstance(error, NoEngine):
            return error.reason is Rejection.NO_ENGINE
        return isinstance(error, EngineFailed) and error.is_lost

    def has_waiting(self, model: str) -> bool:
        room = self._rooms.get(model)
        return room is not None and bool(room.asleep)

    def enter(self, model: str, size_bytes: int) -> Held:
        """Raises `NoEngine` when no more may wait."""
        limits = self._settings
        if self._requests >= limits.requests or self._bytes + size_bytes > limits.body_bytes:
            raise NoEngine(
                "No engine is ready, and no more requests may wait for one. Try again shortly.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                reason=Rejection.HOLD_FULL,
            )
        room = self._rooms.setdefault(model, Room(self._soon))
        room.members += 1
        self._requests += 1
        self._bytes += size_bytes
        return Held(self, room, model, size_bytes, self._clock() + limits.seconds)

    def leave(self, held: Held) -> None:
        room = self._rooms[held.model]
        room.members -= 1
        self._requests -= 1
        self._bytes -= held.size_bytes
        if not room.members:
            del self._rooms[held.model]

    def check(self, until: float) -> None:
        """Raises `NoEngine` after that time."""
        if self._clock() >= until:
            raise NoEngine(
                f"No engine became ready within {self._settings.seconds:g} s. Try again shortly.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                reason=Rejection.HOLD_TIMEOUT,
            )

    def number(self) -> int:
        """A place in line."""
        return next(self._numbers)

    def look(self, is_ready: Callable[[str], int]) -> None:
        """The fleet has changed: wake whoever has an engine now."""
        for model, room in list(self._rooms.items()):
            if room.asleep and is_ready(model):
                room.wake(room.in_order())

    def tick(self) -> None:
        """Called every now and then: the first of each room tries again, time-outs end."""
        now = self._clock()
        for room in list(self._rooms.values()):
            waiting = room.in_order()
            for held in waiting:
                held.ticks += 1
            room.wake([held for held in waiting if held is waiting[0] or held.is_due(now)])
