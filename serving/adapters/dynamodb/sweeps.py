"""Deletes rows that nobody can see any more, whoever waits for it or not; it does not know which those are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from serving.adapters.dynamodb.calls import Calls
from serving.adapters.dynamodb.keys import RowKey

# A sweep may take as long as so many calls of the store.
_PATIENCE = 12


class Sweeps:
    """What fails is left to the rows' own end."""

    def __init__(self, calls: Calls, timeout_seconds: float) -> None:
        self._calls = calls
        self._timeout_seconds = _PATIENCE * timeout_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def delete(self, keys: Iterable[RowKey]) -> None:
        if keys := list(keys):
            self.start(self._calls.write(deletes=keys))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Goes on when its caller is cancelled, provided that who awaits it shields it."""
        task = asyncio.get_running_loop().create_task(self._bounded(work))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def close(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(self._timeout_seconds):
            await work

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Asked for here, or asyncio complains of an error that nobody asked for.
            task.exception()
