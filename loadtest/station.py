"""One worker's part of a probe: sends its turns at their absolute times and records all; knows no locust, judges none.

Locust's users are a pool. A pacer greenlet hands each turn over when its time comes; a user that is free makes it. When
none is, the turn waits and is late; later than its client would wait for a first token, it is dropped: never sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import gevent
from gevent import queue

from loadtest.client.answer import Answer, Ask
from loadtest.course import Conversation, Course, Due
from loadtest.plan import Plan
from loadtest.probe import Probe
from loadtest.records import Record
from loadtest.selfcheck import settle_memory
from loadtest.slo import Fault
from loadtest.traffic.session import Session

Clock: TypeAlias = Callable[[], float]
Limits: TypeAlias = tuple[float | None, float | None]


class Client(Protocol):
    """Makes one request; a failed one is a value. It closes its connection when a greenlet is ended within."""

    def ask(self, ask: Ask, clock: Clock) -> Answer:
        """Blocks its greenlet until the answer's end or the limits."""


class Supply(Protocol):
    """What probes are made of."""

    def sessions(self, probe: Probe) -> Sequence[Session]:
        """Those of the probe's share. OSError, ValueError: there is no such schedule."""

    def client(self, target: int) -> Client:
        """The one of this process for one of the plan's targets. OSError, ValueError: there is none, and why."""

    def conversation(self, probe: Probe, session: Session) -> Conversation:
        """A new one."""


class _Cut(BaseException):
    """Raised in a user's greenlet within its request; no `except Exception` of a client may keep it."""


class Station:
    """One per worker process. `told` gets each record as it is written."""

    def __init__(self, plan: Plan, supply: Supply, clock: Clock, told: Callable[[Record], None]) -> None:
        self._plan, self._supply, self._clock, self._told = plan, supply, clock, told
        self._slos = plan.slos()
        self._ready: Any = queue.SimpleQueue()
        self._course: Course | None = None

    def begin(self, probe: Probe) -> Course:
        """Run it; an earlier one that still runs is cut. Raises what `Supply` does."""
        arrived = self._clock()
        self.cut()
        self._supply.client(probe.target)
        due = [Due(session.at_seconds, session) for session in self._supply.sessions(probe)]
        settle_memory()
        # A schedule that took longer to make than the time left for it delays the begin, not its first arrivals.
        begin = max(arrived + probe.begin_in_seconds, self._clock())
        self._course = Course(probe, self._clock, begin, due)
        gevent.spawn(self._pace, self._course)
        return self._course

    def serve_one(self) -> None:
        """Wait for the next turn and make it: what every user does over and over."""
        course, due = self._ready.get()
        if not course.taken():
            return
        try:
            self._serve(course, due)
        except _Cut:
            return
        except Exception as broken:
            course.error = f"a request was lost to {type(broken).__name__}: {broken}"
            raise

    def cut(self) -> None:
        """End the probe now: what is open becomes rows of `Fault.CUT`, what has not begun is gone. Idempotent."""
        if self._course is not None:
            self._course.cut()
            _interrupt(self._course, self._course.open)

    def _pace(self, course: Course) -> None:
        """Hands turns over until the probe's time is up, then follows those in flight to their limits."""
        while course.begins_turns():
            for due in course.take_due():
                self._ready.put((course, due))
            course.wait_for_next()
        course.drop(self._withdraw())
        course.wait_until_idle(course.probe.seconds + self._plan.grace_seconds)
        # Nobody waits for ever: a request without limits is followed for the grace alone.
        _interrupt(course, (user for user, has_limits in course.open.items() if not has_limits))
        course.wait_until_idle()
        course.finish()

    def _withdraw(self) -> int:
        """Take back what no user took in time."""
        withdrawn = 0
        while not self._ready.empty():
            course, _ = self._ready.get_nowait()
            withdrawn += course.taken()
        return withdrawn

    def _serve(self, course: Course, due: Due) -> None:
        turn = due.session.turns[due.turn]
        limits = self._slos[due.session.traffic_class].limit_seconds(turn.output_tokens, self._plan.grace_seconds)
        if limits[0] is not None and course.elapsed() - due.at_seconds > limits[0]:
            course.drop()
            return
        with course.opened(gevent.getcurrent(), limits[1] is not None):
            conversation = due.conversation or self._supply.conversation(course.probe, due.session)
            answer = self._made(course, due, self._ask(course, due, conversation, limits))
        later = due.session.turns[due.turn + 1 :]
        if answer.fault is Fault.NONE and later:
            conversation.answered(answer.text)
            at_seconds = answer.ended - course.begin + later[0].think_seconds
            course.add(Due(at_seconds, due.session, due.turn + 1, conversation))

    def _ask(self, course: Course, due: Due, conversation: Conversation, limits: Limits) -> Ask:
        workload, scheduled = self._plan.workload, course.begin + due.at_seconds
        stream = workload.classes[due.session.traffic_class].stream
        ask = conversation.ask(due.turn, stream, workload.body)
        first_by, end_by = (None if limit is None else scheduled + limit for limit in limits)
        return replace(ask, first_by=first_by, end_by=end_by)

    def _made(self, course: Course, due: Due, ask: Ask) -> Answer:
        sent = self._clock()
        try:
            answer = self._supply.client(course.probe.target).ask(ask, self._clock)
        except (_Cut, gevent.GreenletExit):
            self._told(course.write(due, Answer(Fault.CUT, 0, sent, math.nan, math.nan, self._clock())))
            raise
        self._told(course.write(due, answer))
        return answer


def _interrupt(course: Course, users: Iterable[Any]) -> None:
    """The hub raises in each, unless its request has ended by then. None begins another: all turns have begun."""

    def strike(user: Any) -> None:
        if user in course.open:
            user.throw(_Cut)

    for user in list(users):
        gevent.get_hub().loop.run_callback(strike, user)
