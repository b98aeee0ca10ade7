"""Lends connections to one PostgreSQL server, one statement at a time; it knows no statement.

Not asyncpg's own pool: that asks the server twice per loan, and at the end of a call that was cut short it waits for
the server to say so, without limit where the server is silent. Here such a connection is ended and never lent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import asyncpg

from serving.adapters.postgres import failures
from serving.errors import StoreDown

_SIZE = 16
# A connection that rested longer may have been forgotten by a firewall on the way.
_REST_SECONDS = 240
_ATTEMPTS = 5

# An acknowledged write is on the disk whatever the database's own default is, and the server gives up when we have.
# Each statement has one good plan, by an index; one made while a table was small must not stay when it has grown.
_GREETING = """
SELECT set_config('statement_timeout', $1, false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('enable_seqscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false),
    set_config('jit', 'off', false),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
    CASE WHEN current_setting('application_name') = '' THEN set_config('application_name', 'tidegate', false) END
"""


async def connect(url: str, timeout_seconds: float) -> Any:
    """One connection; raises one of `postgres_failures.FAILURES`."""
    async with asyncio.timeout(timeout_seconds):
        # Statements are known for the connection's life: to prepare one anew costs a round trip.
        connection = await asyncpg.connect(url, timeout=timeout_seconds, max_cached_statement_lifetime=0)
        try:
            await connection.fetch(_GREETING, str(max(1, round(timeout_seconds * 1000))))
        except BaseException:
            connection.terminate()
            raise
    return connection


class Connections:
    """Up to `size`, opened when they are needed. A call's time covers its wait for one; a call needs no Task."""

    def __init__(self, url: str, timeout_seconds: float, size: int = _SIZE) -> None:
        self._url = url
        self._timeout = timeout_seconds
        self._size = size
        self._count = 0
        self._opening: set[asyncio.Task[Any]] = set()
        # With the time since when; the last one rests shortest.
        self._resting: deque[tuple[float, Any]] = deque()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._calls = 0
        self._closed: asyncio.Event | None = None

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """The rows of one statement, which is a transaction of its own. Raises `StoreDown`."""
        if self._closed is not None:
            raise StoreDown("PostgreSQL: this store is closed")
        deadline = asyncio.get_running_loop().time() + self._timeout
        self._calls += 1
        try:
            for _ in range(_ATTEMPTS):
                try:
                    return await self._ask(deadline, query, arguments)
                except failures.LOST_A_RACE as error:
                    lost = error
            raise failures.down(lost)
        finally:
            self._calls -= 1
            if self._closed is not None and not self._calls:
                self._closed.set()

    async def close(self) -> None:
        """Calls under way end by themselves, each within its time; then nothing is left open."""
        if self._closed is not None:
            return
        self._closed = asyncio.Event()
        if self._calls:
            await self._closed.wait()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        resting = [connection for _, connection in self._resting]
        self._resting.clear()
        await asyncio.gather(*(one.close(timeout=self._timeout) for one in resting), return_exceptions=True)

    async def _ask(self, deadline: float, query: str, arguments: tuple[Any, ...]) -> list[Any]:
        connection = await self._take(deadline)
        loop = asyncio.get_running_loop()
        # Not a time-out of asyncpg: that opens another connection to tell the server, and waits for its answer.
        timer = loop.call_at(deadline, self._end, connection, deadline - self._timeout)
        try:
            rows: list[Any] = await connection.fetch(query, *arguments)
        except failures.FAILURES as error:
            if loop.time() >= deadline:
                raise failures.down(TimeoutError()) from None
            if failures.is_ours(error, not connection.is_closed()) or isinstance(error, failures.LOST_A_RACE):
                raise
            if failures.is_of_the_server(error):
                self._end(connection, loop.time())
            raise failures.down(error) from None
        except BaseException:
            connection.terminate()
            raise
        finally:
            timer.cancel()
            self._take_back(connection)
        return rows

    async def _take(self, deadline: float) -> Any:
        loop = asyncio.get_running_loop()
        while self._resting:
            since, connection = self._resting.pop()
            if loop.time() - since > _REST_SECONDS:
                connection.terminate()
            if not connection.is_closed():
                return connection
            self._count -= 1
        waiter: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(waiter)
        self._open_more()
        timer = loop.call_at(deadline, _fail, waiter, failures.down(TimeoutError()))
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:
                self._take_back(waiter.result())
            raise
        finally:
            timer.cancel()

    def _take_back(self, connection: Any) -> None:
        if connection.is_closed():
            self._count -= 1
            self._open_more()
        else:
            self._offer(connection)

    def _offer(self, connection: Any) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._resting.append((asyncio.get_running_loop().time(), connection))

    def _open_more(self) -> None:
        if self._count < self._size and len(self._opening) < len(self._waiting):
            self._count += 1
            task = asyncio.get_running_loop().create_task(connect(self._url, self._timeout))
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._count -= 1
        else:
            self._offer(task.result())
        # Whoever holds a connection gives it on; where nobody does, there is nothing to wait for.
        while error is not None and self._waiting and not self._count:
            _fail(self._waiting.popleft(), failures.down(error))

    def _end(self, connection: Any, before: float) -> None:
        """End it, and those at rest since `before` or longer, which lead to the same server and have shown no life."""
        connection.terminate()
        while self._resting and self._resting[0][0] <= before:
            self._resting.popleft()[1].terminate()
            self._count -= 1


def _fail(waiter: asyncio.Future[Any], error: StoreDown) -> None:
    if not waiter.done():
        waiter.set_exception(error)
