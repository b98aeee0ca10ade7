"""A thread that owns a SQLite connection and does what is queued for it, many calls at a time; it knows no query.

What queued up while one batch was done is the next batch. Writes of a batch are one transaction with one fsync, and
the results of a batch reach the loop in one callback, where each wakes its caller.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from serving.adapters.sqlite import patience
from serving.errors import StoreDown, StoreError
from serving.front.eager import Wake

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]


class _Call(Wake):
    """One call under way; the thread sets `value` or `error`. One that the loop abandoned is not begun any more."""

    __slots__ = ("abandoned", "deadline", "error", "value", "work")

    def __init__(self, work: Work, deadline: float) -> None:
        super().__init__()
        self.work = work
        self.deadline = deadline
        self.abandoned = False
        self.value: Any = None
        self.error: Exception | None = None


Perform = Callable[[sqlite3.Connection, list[_Call]], None]


class SqliteThread:
    """Calls are done in the order in which they were made."""

    def __init__(self, db: sqlite3.Connection, perform: Perform, name: str, timeout_seconds: float) -> None:
        self._db = db
        self._perform = perform
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[_Call] | None] = SimpleQueue()
        self._fresh: list[_Call] = []
        self._pending: deque[_Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns or raises; `StoreDown` for what SQLite raises, and when it takes too long."""
        if self._is_closed:
            raise StoreDown("the store is closed")
        call = _Call(work, self._loop.time() + self._timeout_seconds)
        self._pending.append(call)
        if self._timer is None:
            self._timer = self._loop.call_at(call.deadline, self._watch)
        if not self._fresh:
            self._loop.call_soon(self._hand_over)
        self._fresh.append(call)
        try:
            await call
        except BaseException:
            call.abandoned = True
            raise
        if call.abandoned:
            raise StoreDown(f"SQLite did not answer within {self._timeout_seconds:g} s")
        if call.error is not None:
            raise call.error
        value: T = call.value
        return value

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._queue.put(fresh)

    async def close(self) -> None:
        """Finish what is queued, then close the connection."""
        if not self._is_closed:
            self._is_closed = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout_seconds)
        self._give_up(before=math.inf)

    def _run(self) -> None:
        ends = False
        while not ends:
            taken = [self._queue.get()]
            taken += [self._queue.get() for _ in range(self._queue.qsize())]
            calls = [call for fresh in taken if fresh is not None for call in fresh]
            ends = None in taken
            self._perform(self._db, [call for call in calls if not call.abandoned])
            try:
                self._loop.call_soon_threadsafe(self._deliver, iter(calls))
            except RuntimeError:  # the loop ended without closing the store: nobody waits
                ends = True
        self._db.close()

    def _deliver(self, calls: Iterator[_Call]) -> None:
        try:
            for call in calls:
                call.set()
        except BaseException:
            # A flow that broke is not the others' trouble.
            self._loop.call_soon(self._deliver, calls)
            raise
        while self._pending and self._pending[0].happened:
            self._pending.popleft()

    def _watch(self) -> None:
        """All calls have the same time: the oldest is the first to be late."""
        self._timer = None
        self._give_up(before=self._loop.time())
        if self._pending:
            self._timer = self._loop.call_at(self._pending[0].deadline, self._watch)

    def _give_up(self, before: float) -> None:
        while self._pending and (self._pending[0].happened or self._pending[0].deadline <= before):
            call = self._pending.popleft()
            if not call.happened:
                call.abandoned = True
                self._loop.call_soon(call.set)


def read_together(db: sqlite3.Connection, calls: list[_Call]) -> None:
    """Do calls that only read, each for itself."""
    for call in calls:
        try:
            _do(db, call)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            call.error = _told(error)


def commit_together(patience_seconds: float, db: sqlite3.Connection, calls: list[_Call]) -> None:
    """Do calls that write, all in one transaction; where one of them breaks, each in its own."""
    if not calls:
        return
    try:
        patience.execute(db, "BEGIN IMMEDIATE", patience_seconds)
        for call in calls:
            _do(db, call)
        db.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - it belongs to the caller
        began = db.in_transaction
        if began:
            db.execute("ROLLBACK")
        if began and len(calls) > 1:
            for call in calls:
                commit_together(patience_seconds, db, [call] if not call.abandoned else [])
        else:
            for call in calls:
                call.error = _told(error)


def _do(db: sqlite3.Connection, call: _Call) -> None:
    """A `StoreError` is an answer: whoever raises it has written nothing."""
    call.error = None
    try:
        call.value = call.work(db)
    except StoreError as answer:
        call.error = answer


def _told(error: Exception) -> Exception:
    if isinstance(error, sqlite3.Error):
        down = StoreDown(f"SQLite: {error}")
        down.__cause__ = error
        return down
    return error
