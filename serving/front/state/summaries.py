"""Has summaries of long sessions made in the background, one at a time per session; no turn ever waits for one.

It knows when to try, when to try again and when to leave it; the words are summary.py's. What is not made now is asked
for again with the session's next turn, on whichever replica that is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from serving.errors import TidegateError, VersionConflict
from serving.front.state import items, summary
from serving.front.state.prompt import Summary
from serving.front.state.records import Document, Key, Kind, Turn

_log = logging.getLogger("tidegate.front")

_MOST_REMEMBERED = 10_000


class Engine(Protocol):
    """Answers one chat request that is not streamed."""

    async def ask(self, model: str, body: dict[str, Any], cache_salt: str) -> bytes:
        """The engine's whole answer. Raises `UpstreamError` or `RequestError`."""


class Store(Protocol):
    """The documents of a durable store."""

    async def get(self, kind: Kind, key: Key) -> Document | None: ...

    async def put(self, document: Document, expected: int = 0) -> Document: ...

    async def delete(self, kind: Kind, key: Key) -> bool: ...


# The newest turns of a session up to a number, at most so many, oldest first, numbered as `history.joined` does.
EndingAt = Callable[[Key, int, int], Awaitable[Sequence[Turn]]]


class Job(NamedTuple):
    """A summary of the turns up to number `through`; `room` is what `model` has place for, tokens."""

    key: Key
    model: str
    through: int
    room: int
    system: Turn | None = None
    cache_salt: str = ""
    user: str | None = None


class Policy(NamedTuple):
    """`pauses_seconds` are the waits between the tries of one job; after the last one it rests for `rest_seconds`."""

    at_once: int = 8
    pauses_seconds: tuple[float, ...] = (1, 4)
    rest_seconds: float = 300
    timeout_seconds: float = 60
    # A session that gets its first summary late is told from its newest turns.
    turns: int = 200


_DEFAULT = Policy()


@dataclass(slots=True)
class Summaries:
    """`now` gives seconds since the epoch."""

    engine: Engine
    store: Store
    ending_at: EndingAt
    now: Callable[[], float]
    policy: Policy = _DEFAULT
    _is_closed: bool = False
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _rests_until: dict[Key, float] = field(default_factory=dict)

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    def want(self, job: Job) -> None:
        """Begin it, unless it is under way, rests after failures, or too many are made; never waits, never raises."""
        if self._is_closed or job.key in self._tasks or len(self._tasks) >= self.policy.at_once:
            return
        if self._rests_until.get(job.key, 0) > self.now():
            return
        task = asyncio.get_running_loop().create_task(self._work(job))
        self._tasks[job.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.key, None))

    async def close(self) -> None:
        """Stop what is under way; nothing begins after it."""
        self._is_closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, job: Job) -> None:
        for pause in (*self.policy.pauses_seconds, None):
            try:
                await self._make(job)
            except (TidegateError, ValueError, TimeoutError) as error:
                _log.warning("summary of %s not made: %s", job.key.id, type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the edge of a background task
                _log.error("summary of %s failed: %s", job.key.id, type(error).__name__)
            else:
                self._rests_until.pop(job.key, None)
                return
            if pause is not None:
                await asyncio.sleep(pause)
        self._rest(job.key)

    def _rest(self, key: Key) -> None:
        now = self.now()
        if len(self._rests_until) >= _MOST_REMEMBERED:
            self._rests_until = {key: until for key, until in self._rests_until.items() if until > now}
        if len(self._rests_until) < _MOST_REMEMBERED:
            self._rests_until[key] = now + self.policy.rest_seconds

    async def _make(self, job: Job) -> None:
        found = await self.store.get("summary", job.key)
        previous = Summary(**found.body) if found else None
        if previous is not None and previous.through >= job.through:
            return
        after = previous.through if previous is not None else None
        read = await self.ending_at(job.key, job.through, self.policy.turns)
        turns = [turn for turn in read if turn.number <= job.through and (after is None or turn.number > after)]
        if turns:
            text = await self._ask(job, summary.prompt(job.system, previous and previous.text, turns, job.room))
            await self._keep(job, text, turns[-1], found)

    async def _ask(self, job: Job, body: dict[str, Any]) -> str:
        async with asyncio.timeout(self.policy.timeout_seconds):
            return summary.read(await self.engine.ask(job.model, body, job.cache_salt))

    async def _keep(self, job: Job, text: str, last: Turn, found: Document | None) -> None:
        tokens = items.tokens_of({"role": "system", "content": text})
        body = Summary(job.through, text, tokens)._asdict()
        document = Document(job.key, "summary", body, self.now(), job.user)
        try:
            await self.store.put(document, found.revision if found else 0)
        except VersionConflict:
            # Another replica made it.
            return
        # Whoever deletes a session deletes its summary next: either they saw this one, or this sees that it is gone.
        left = await self.ending_at(job.key, job.through, self.policy.turns)
        if all(turn.id != last.id for turn in left):
            await self.store.delete("summary", job.key)
