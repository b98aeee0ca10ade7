"""The clients of a run: who talks in which session, in what manner and at which front, from a seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.checker.history import Request
from tests.checker.talk import Api, Manner, Talk, ask
from tests.support.said import Said
from tests.support.state_world import TEAMS, StateWorld

# New sessions begin every so often, or histories would grow with the length of the run.
_EPOCH_SECONDS = 10.0
_OWN: tuple[Api, ...] = ("chat", "conversation", "chain")
_IDEMPOTENT, _RACED, _STREAMS, _LEAVES = 0.2, 0.3, 0.5, 0.05
# A lease of a request whose front was killed has to run out before another may answer for its key.
_RETRY_SECONDS = 15.0
_RETRY_PAUSE_SECONDS = 0.25


class Workload:
    """`began` is of time.monotonic(); times of requests count from it.

    `unanswered` are the last requests with idempotency keys that were asked for again and again in vain.
    """

    def __init__(self, world: StateWorld, seed: int, seconds: float, clients: int, pace_seconds: float) -> None:
        self.requests: list[Request] = []
        self.unanswered: list[Request] = []
        self.began = time.monotonic()
        self._world = world
        self._seed = seed
        self._seconds = seconds
        self._pace = pace_seconds
        self._clients = [(TEAMS[number % len(TEAMS)], number) for number in range(clients)]
        self._epochs = [self._epoch(epoch) for epoch in range(int(seconds // _EPOCH_SECONDS) + 1)]
        self._halted = threading.Event()

    @property
    def talks(self) -> list[Talk]:
        found = {talk.name: talk for epoch in self._epochs for talks in epoch.values() for talk in talks}
        return list(found.values())

    def now(self) -> float:
        return time.monotonic() - self.began

    def run(self) -> None:
        """All clients, each in a thread of its own, until time is up and every idempotent request has its answer."""
        with ThreadPoolExecutor(len(self._clients)) as threads:
            running = [threads.submit(self._client, number) for _, number in self._clients]
            for client in running:
                client.result()

    def halt(self) -> None:
        """Let the clients end early."""
        self._halted.set()

    def say(self, talk: Talk, marker: str, front: int, manner: Manner) -> Said:
        """One request, recorded."""
        began = self.now()
        ended = ask(self._world, front, talk, marker, manner)
        self.requests.append(
            Request(
                talk.name,
                marker,
                began,
                self.now(),
                ended.outcome,
                ended.detail,
                ended.text,
                front,
                manner.idempotency_key,
            )
        )
        return ended

    def until_acked(self, talk: Talk, markers: Callable[[int], str], front: int, within: float) -> Said:
        """New turns until one is acknowledged; the last answer when none was in time."""
        deadline = self.now() + within
        for number in range(10_000):
            ended = self.say(talk, markers(number), front, Manner())
            if ended.outcome == "acked" or self.now() > deadline:
                break
            time.sleep(0.05)
        return ended

    def _epoch(self, epoch: int) -> dict[int, list[Talk]]:
        """Each client's sessions: two that its team races in, and one of its own by each API."""
        found: dict[int, list[Talk]] = {}
        for team in TEAMS:
            shared = [self._talk(team, f"race-{api}-{epoch}", api) for api in ("chat", "conversation")]
            for _, number in (client for client in self._clients if client[0] == team):
                # Teams use the same ids on purpose: what is one tenant's is no other's.
                place = number // len(TEAMS)
                found[number] = [*shared, *(self._talk(team, f"own-{api}-{place}-{epoch}", api) for api in _OWN)]
        return found

    def _talk(self, team: str, name: str, api: Api) -> Talk:
        id = self._world.client(0, team).conversations.create().id if api == "conversation" else name
        return Talk(f"{team}/{name}", api, id)

    def _client(self, number: int) -> None:
        source = random.Random(f"client {number} of {self._seed}")
        count = 0
        while (now := self.now()) < self._seconds and not self._halted.is_set():
            talk = source.choice(self._epochs[int(now // _EPOCH_SECONDS)][number])
            count += 1
            self._turn(source, talk, f"{talk.name}/c{number}.{count}")
            time.sleep(source.random() * 2 * self._pace)

    def _turn(self, source: random.Random, talk: Talk, marker: str) -> None:
        fronts = source.sample(range(len(self._world.fronts)), k=2)
        stream, draw = source.random() < _STREAMS, source.random()
        if draw < _IDEMPOTENT and talk.api != "chain":
            manner = Manner(stream, idempotency_key=marker)
            self._insist(talk, marker, fronts, manner, is_raced=source.random() < _RACED)
        elif draw > 1 - _LEAVES and stream and talk.api == "chat":
            self.say(talk, marker, fronts[0], Manner(stream=True, events=source.randint(1, 4)))
        else:
            self.say(talk, marker, fronts[0], Manner(stream))

    def _insist(self, talk: Talk, marker: str, fronts: list[int], manner: Manner, *, is_raced: bool) -> None:
        """The same request, at one front after the other or at both at once, until one acknowledges it."""
        if is_raced:
            with ThreadPoolExecutor(len(fronts)) as threads:
                said = list(threads.map(lambda front: self.say(talk, marker, front, manner), fronts))
        else:
            said = [self.say(talk, marker, fronts[0], manner)]
        healed = max(self.now(), self._seconds)
        while all(ended.outcome != "acked" for ended in said) and not self._halted.is_set():
            if self.now() > healed + _RETRY_SECONDS:
                self.unanswered.append(next(last for last in reversed(self.requests) if last.marker == marker))
                return
            time.sleep(_RETRY_PAUSE_SECONDS)
            fronts = [fronts[-1], *fronts[:-1]]
            said = [self.say(talk, marker, fronts[0], manner)]
