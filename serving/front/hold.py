"""Where requests wait while no engine of their model is ready: bounded in number, bytes and time, first in first out.

It knows neither engines nor clients: the flow comes with what no engine took, naps here, and tries again when woken.
room.py says when. One that waited and finds an engine with too much to do comes back to its place in line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType

from serving.errors import EngineFailed, EngineRefused, NoEngine, Rejection, RequestError
from serving.front.eager import Wake
from serving.front.room import Room, Soon
from serving.settings import HoldSettings

_RETRY_AFTER_SECONDS = 5
# In which the first in line shows whether an engine is there at all: longer than it takes to connect.
_DOUBT_SECONDS = 3.0


class Held:
    """One request in the room. `with` ends its stay; when it found an engine, others may go too."""

    def __init__(self, hold: Hold, room: Room, model: str, size_bytes: int, until: float) -> None:
        self.number = hold.number()
        self.model = model
        self.size_bytes = size_bytes
        self.until = until
        self.wake = Wake()
        self._hold = hold
        self._room = room
        self._absences = room.absences
        self._broken_at: float | None = None

    @property
    def is_in_doubt(self) -> bool:
        return self._broken_at is not None and not self.is_excused

    @property
    def is_excused(self) -> bool:
        """Since its engine broke, somebody found that none is there."""
        return self._room.absences > self._absences

    def is_due(self, now: float) -> bool:
        """Its time is over, or it lost its engine and that engine turns out to be there after all."""
        broken_at = self._broken_at
        return now >= self.until or (broken_at is not None and self.is_in_doubt and now - broken_at >= _DOUBT_SECONDS)

    async def nap(self, reason: RequestError | None) -> None:
        """Until it may try again; `reason` is why it could not. Raises `NoEngine` when its time is over."""
        room, self.wake = self._room, Wake()
        self._broken_at = None
        if isinstance(reason, EngineFailed):
            self._broken_at, self._absences = self._hold.clock(), room.absences
        room.lie_down(self, reason)
        try:
            await self.wake
        finally:
            room.get_up(self)
        self._hold.check(self.until)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hold.leave(self)
        self._room.returned(self)
        if kind is None or isinstance(error, EngineRefused):
            self._room.begun()


class Hold:
    """Owns the rooms and their bounds."""

    def __init__(self, settings: HoldSettings, clock: Callable[[], float], soon: Soon) -> None:
        self._settings = settings
        self.clock = clock
        self._soon = soon
        self._rooms: dict[str, Room] = {}
        self._numbers = itertools.count()
        self._requests = 0
        self._bytes = 0

    @property
    def is_on(self) -> bool:
        """Requests may wait."""
        return bool(self._settings.seconds)

    def takes(self, error: NoEngine | EngineFailed) -> bool:
        """True for what an engine that comes may still answer."""
        if isinstance(error, NoEngine):
            return self.is_on and error.reason is Rejection.NO_ENGINE
        return self.is_on and error.is_lost

    def takes_back(self, error: NoEngine | EngineFailed) -> bool:
        """The same for one that waited: it need not be the first that an engine is ready for."""
        return self.takes(error) or (isinstance(error, NoEngine) and error.reason is Rejection.ENGINE_BUSY)

    def is_ahead(self, model: str, is_ready: Callable[[str], int]) -> bool:
        """Others wait for the model, and who comes now has to wait behind them."""
        room = self._rooms.get(model)
        return room is not None and room.is_ahead(is_ready=bool(is_ready(model)))

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
        return Held(self, room, model, size_bytes, self.clock() + limits.seconds)

    def leave(self, held: Held) -> None:
        room = self._rooms[held.model]
        room.members -= 1
        self._requests -= 1
        self._bytes -= held.size_bytes
        if not room.members:
            del self._rooms[held.model]

    def check(self, until: float) -> None:
        """Raises `NoEngine` after that time."""
        if self.clock() >= until:
            raise NoEngine(
                f"No engine took the request within {self._settings.seconds:g} s. Try again shortly.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                reason=Rejection.HOLD_TIMEOUT,
            )

    def number(self) -> int:
        """A place in line."""
        return next(self._numbers)

    def ended(self, model: str) -> None:
        """An answer of the model is over: its engine has room for one more."""
        if self._rooms and (room := self._rooms.get(model)):
            room.ended()

    def look(self, is_ready: Callable[[str], int]) -> None:
        """The fleet was looked at: who has an engine now may go."""
        for model, room in list(self._rooms.items()):
            if engines := is_ready(model):
                room.open(engines)

    def tick(self, is_ready: Callable[[str], int]) -> None:
        """Called every now and then: the first of each room try again, time-outs end."""
        now = self.clock()
        for model, room in list(self._rooms.items()):
            room.tick(now, is_ready=bool(is_ready(model)))
