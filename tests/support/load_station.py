"""A station over a client that answers by itself, with users as plain greenlets: no server and no locust."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gevent

from loadtest.client.answer import Answer, Ask
from loadtest.plan import Plan, Target, TrafficClass, Workload
from loadtest.probe import Probe
from loadtest.pulse import Pulse
from loadtest.records import Record, Rows, from_bytes, joined
from loadtest.slo import Fault
from loadtest.station import Station
from loadtest.traffic.session import Session, Turn

Script = Callable[[Ask, float], Fault]
"""Given a request and when it came (seconds since the first one), how it ends; it may sleep."""


def good(_ask: Ask, _since: float) -> Fault:
    return Fault.NONE


def sessions(*at_seconds: float, turns: tuple[Turn, ...] = (Turn(1, 1),)) -> list[Session]:
    """One per time, all alike."""
    return [Session(index, at, 0, -1, 0, turns) for index, at in enumerate(at_seconds)]


@dataclass
class World:
    """`users`: the pool. `asked` has each request's content and when it came."""

    sessions: Sequence[Session]
    script: Script = good
    users: int = 10
    traffic: TrafficClass = field(default_factory=TrafficClass)
    grace_seconds: float = 0.2
    clock: Callable[[], float] = time.perf_counter
    asked: list[str] = field(default_factory=list)
    told: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = Plan(
            targets=(Target(base_url="http://nowhere"),),
            workload=Workload(classes=(self.traffic,)),
            grace_seconds=self.grace_seconds,
        )
        self.station = Station(plan, _Supply(self), self.clock, self.told.append)

    def begin(self, seconds: float = 1.0, number: int = 0) -> Any:
        """The course of a probe that its users have begun to serve."""
        course = self.station.begin(Probe(number, 0, 1.0, seconds, 0, begin_in_seconds=0.01))
        for _ in range(self.users):
            gevent.spawn(self._serve)
        return course

    def run(self, seconds: float = 1.0) -> tuple[Rows, Pulse]:
        """A whole probe: its rows and its last pulse."""
        return followed(self.begin(seconds))

    def _serve(self) -> None:
        while True:
            self.station.serve_one()


def followed(course: Any) -> tuple[Rows, Pulse]:
    """All rows of a probe until its end, and its last pulse."""
    parts = []
    while True:
        course.wait(0.1)
        pulse = course.pulse()
        parts.append(from_bytes(pulse.rows))
        if pulse.done:
            return joined(parts), pulse


@dataclass
class _Supply:
    world: World

    def sessions(self, _probe: Probe) -> Sequence[Session]:
        return self.world.sessions

    def client(self, _target: int) -> _Client:
        return _Client(self.world)

    def conversation(self, _probe: Probe, session: Session) -> _Conversation:
        return _Conversation(session)


@dataclass
class _Conversation:
    """Says how far it has come: session, turn, and the answers it was given."""

    session: Session
    answers: list[str] = field(default_factory=list)

    def ask(self, turn_number: int, stream: bool, body: Mapping[str, Any]) -> Ask:
        content = f"{self.session.index}.{turn_number} {' '.join(self.answers)}".strip()
        return Ask([{"content": content}], self.session.turns[turn_number].output_tokens, stream=stream, body=body)

    def answered(self, text: str) -> None:
        self.answers.append(text)


@dataclass
class _Client:
    world: World

    def ask(self, ask: Ask, clock: Callable[[], float]) -> Answer:
        sent = clock()
        began = self.world.station_began = getattr(self.world, "station_began", sent)
        self.world.asked.append(ask.messages[0]["content"])
        fault = self.world.script(ask, sent - began)
        now = clock()
        answer = Answer(fault, 200, sent, now, now, now, output_tokens=1, text=f"answer{len(self.world.asked)}")
        return answer if fault is Fault.NONE else replace(answer, first=float("nan"), last=float("nan"))
