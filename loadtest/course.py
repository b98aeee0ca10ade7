"""The state of one probe on one worker: its time, what is due, what is open, what was recorded; it sends nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gevent.event import Event

from loadtest import records
from loadtest.client.answer import Answer, Ask
from loadtest.probe import Probe
from loadtest.pulse import Pulse
from loadtest.records import Record
from loadtest.selfcheck import SelfCheck
from loadtest.traffic.session import Session

Clock: TypeAlias = Callable[[], float]

LATE_SECONDS = 0.005


class Conversation(Protocol):
    """The messages of a session."""

    def ask(self, turn_number: int, stream: bool, body: Mapping[str, Any]) -> Ask:
        """The request of a turn, from 0."""

    def answered(self, text: str) -> None:
        """The last turn's answer, for the history."""


@dataclass(frozen=True)
class Due:
    """A turn and its scheduled time, in seconds since the probe began. `conversation` is None before the first."""

    at_seconds: float
    session: Session
    turn: int = 0
    conversation: Conversation | None = None

    def __lt__(self, other: Due) -> bool:
        return (self.at_seconds, self.session.index) < (other.at_seconds, other.session.index)


class Course:
    """From a probe's begin to its last row. Its pacer waits here, its users come and go, its pulses are taken here."""

    def __init__(self, probe: Probe, clock: Clock, begin: float, due: Iterable[Due]) -> None:
        self.probe, self.begin = probe, begin
        self.is_cut = False
        self.open: dict[Any, bool] = {}
        """The greenlets within a request, and whether it has limits."""
        self.error = ""
        self._clock = clock
        self._due = sorted(due)
        self._handed = self._late = self._dropped = 0
        self._records: list[Record] = []
        self._rows_taken = 0
        self._changed, self._done = Event(), Event()
        self._check = SelfCheck(clock)
        self._check.start()

    def elapsed(self) -> float:
        """Seconds since its begin; below 0 before it."""
        return self._clock() - self.begin

    def begins_turns(self) -> bool:
        """Whether a turn may still begin: it is not cut, its time is not up, and there is one or may come one."""
        within = not self.is_cut and self.elapsed() < self.probe.seconds
        return within and bool(self._due or self._handed or self.open)

    def take_due(self) -> Iterator[Due]:
        """The turns whose time has come, to be handed to users."""
        now = self.elapsed()
        while self._due and self._due[0].at_seconds <= now:
            self._handed += 1
            yield heapq.heappop(self._due)

    def wait_for_next(self) -> None:
        """Until a turn is due, the time is up, or something has changed."""
        until = min(self.probe.seconds, self._due[0].at_seconds) if self._due else self.probe.seconds
        self._wait(until - self.elapsed())

    def wait_until_idle(self, until_seconds: float = float("inf")) -> None:
        """Until nothing is open, or until then."""
        while self.open and (left := until_seconds - self.elapsed()) > 0:
            self._wait(left)

    def taken(self) -> bool:
        """A user has taken a turn that was handed over: False when it comes too late, as the course is cut."""
        self._handed -= 1
        return not self.is_cut

    @contextmanager
    def opened(self, user: Any, has_limits: bool) -> Iterator[None]:
        """While a user makes a request."""
        self.open[user] = has_limits
        try:
            yield
        finally:
            del self.open[user]
            if not self.open:
                self._changed.set()

    def add(self, due: Due) -> None:
        """A later turn, now that its time is known. One that would begin after the probe's time never does."""
        if due.at_seconds < self.probe.seconds and not self.is_cut:
            heapq.heappush(self._due, due)
            self._changed.set()

    def drop(self, count: int = 1) -> None:
        """Turns that no user was free for in time."""
        self._dropped += count

    def write(self, due: Due, answer: Answer) -> Record:
        """Record a request."""
        found = Record(
            probe=self.probe.number,
            target=self.probe.target,
            slo=due.session.traffic_class,
            session=due.session.index,
            turn=due.turn,
            fault=answer.fault,
            status=answer.status,
            scheduled=due.at_seconds,
            sent=answer.sent - self.begin,
            first=answer.first - self.begin,
            last=answer.last - self.begin,
            ended=answer.ended - self.begin,
            stall=answer.stall,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            cached_tokens=answer.cached_tokens,
            first_tokens=answer.first_tokens,
            chunks=answer.chunks,
            detail=answer.detail,
        )
        self._records.append(found)
        self._late += found.sent - found.scheduled > LATE_SECONDS
        return found

    def cut(self) -> None:
        """No turn begins any more."""
        self.is_cut = True
        self._due.clear()
        self._changed.set()

    def finish(self) -> None:
        """All is recorded."""
        self._due.clear()
        self._check.stop()
        self._done.set()

    def wait(self, seconds: float) -> None:
        """Return when it is finished, or after this long."""
        self._done.wait(seconds)

    def pulse(self) -> Pulse:
        """What became of it since the pulse before; the last one says that it is done."""
        ended, self._records = self._records, []
        self._rows_taken += len(ended)
        return Pulse(
            probe=self.probe.number,
            share=self.probe.share,
            seconds=self.elapsed(),
            rows=records.to_bytes(records.rows(ended)),
            rows_so_far=self._rows_taken,
            in_flight=len(self.open),
            waiting=len(self._due) + self._handed,
            late=self._late,
            dropped=self._dropped,
            loop_lags=tuple(self._check.take_lags().tolist()),
            cpu_share=self._check.cpu_share(),
            was_cut=self.is_cut,
            done=self._done.is_set(),
            error=self.error,
        )

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._changed.wait(None if seconds == float("inf") else seconds)
        self._changed.clear()
