"""Those who wait for one model, and how fast they are let out; it knows no bounds and no clock.

An engine that has just come must not be stormed: it would refuse what is beyond its own admission limits. A few go
first. Each that an engine begins to answer lets two more go, each end of an answer one, each tick twice as many as the
tick before. Once an engine has too much to do it is one instead of two, and one per tick.

Of those whose engine broke under them one goes first: whether it finds an engine decides what the others may do.

While nobody finds an engine they wait for one to come. The first in line tries nevertheless, ever more rarely: an
engine may have been away too shortly to be missed, or answer requests but not list its models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from serving.errors import NoEngine, Rejection, RequestError
from serving.front.eager import Wake

_FIRST_PER_ENGINE = 4
_FOR_EACH_BEGUN = 2
# Between two that go though no engine came: twice as long each time.
_FIRST_GAP_SECONDS, _LONGEST_GAP_SECONDS = 1.0, 8.0

# Calls back in the next turn of the loop. A flow that went on inside somebody's Task would take that for its own.
Soon = Callable[[Callable[[], None]], object]


class Sleeper(Protocol):
    """One who waits."""

    number: int
    wake: Wake

    @property
    def is_in_doubt(self) -> bool:
        """Its engine broke, and nobody has found out since whether that engine is there."""

    def is_due(self, now: float) -> bool:
        """Its turn does not depend on the others any more."""


class Room:
    """`absences` counts the times that one of them found no engine."""

    __slots__ = (
        "_again_at",
        "_asleep",
        "_engines",
        "_gap_seconds",
        "_is_busy",
        "_is_in_vain",
        "_pace",
        "_probe",
        "_soon",
        "absences",
        "members",
    )

    def __init__(self, soon: Soon) -> None:
        self._soon = soon
        self._asleep: dict[int, Sleeper] = {}
        # Those for whom some were let out; an engine refused one since the last tick; how many a tick lets out.
        self._engines = 0
        self._is_busy = False
        self._pace = 1
        # Who is on its way to find out.
        self._probe: Sleeper | None = None
        self.members = 0
        self._found_one()
        self.absences = 0

    def is_ahead(self, *, is_ready: bool) -> bool:
        """Who comes now has to wait behind them: no engine is there, or they are on their way out to it."""
        return bool(self._asleep) and (not is_ready or (self._engines > 0 and not self._is_busy))

    def lie_down(self, held: Sleeper, reason: RequestError | None) -> None:
        """`reason` is what it found."""
        self._asleep[held.number] = held
        self.returned(held)
        if isinstance(reason, NoEngine) and reason.reason is Rejection.ENGINE_BUSY:
            self._is_busy = True
            self._found_one()
        elif isinstance(reason, NoEngine):
            self.absences += 1
            self._engines = 0
            self._is_in_vain = True
        elif reason is not None:
            self._is_in_vain = True

    def get_up(self, held: Sleeper) -> None:
        self._asleep.pop(held.number, None)

    def returned(self, held: Sleeper) -> None:
        """From its way out, with whatever result."""
        if self._probe is held:
            self._probe = None

    def open(self, engines: int) -> None:
        """So many are there."""
        came, self._engines = engines - self._engines, engines
        if came > 0:
            self._is_in_vain = False
            self._let_go(came * _FIRST_PER_ENGINE)

    def begun(self) -> None:
        """An engine begins to answer one of them."""
        self._found_one()
        self._let_go(1 if self._is_busy else _FOR_EACH_BEGUN)

    def ended(self) -> None:
        """An answer of the model is over."""
        if self._engines:
            self._let_go(1)

    def tick(self, now: float, *, is_ready: bool) -> None:
        """The next ones try, unless it is in vain; who is due ends or tries, wherever in line it is."""
        is_going_well = is_ready and not self._is_busy and not self._is_in_vain
        self._pace = min(self._pace * 2, self.members) if is_going_well else 1
        self._engines = self._engines if is_ready else 0
        self._is_busy = False
        if not self._is_in_vain or self._dares(now):
            self._let_go(self._pace)
        self._wake([held for held in self._in_order() if held.is_due(now)])

    def _found_one(self) -> None:
        """An engine is there, whether or not it has too much to do."""
        self._is_in_vain = False
        self._again_at, self._gap_seconds = 0.0, _FIRST_GAP_SECONDS

    def _dares(self, now: float) -> bool:
        """True when one may go though the last one found no engine; it is then counted."""
        if now < self._again_at:
            return False
        self._again_at = now + self._gap_seconds
        self._gap_seconds = min(2 * self._gap_seconds, _LONGEST_GAP_SECONDS)
        return True

    def _let_go(self, count: int) -> None:
        chosen: list[Sleeper] = []
        for held in self._in_order():
            if len(chosen) == count:
                break
            if held.is_in_doubt and self._probe is not None:
                continue
            if held.is_in_doubt:
                self._probe = held
            chosen.append(held)
        self._wake(chosen)

    def _in_order(self) -> list[Sleeper]:
        return [self._asleep[number] for number in sorted(self._asleep)]

    def _wake(self, chosen: list[Sleeper]) -> None:
        for held in chosen:
            del self._asleep[held.number]
            self._soon(held.wake.set)
