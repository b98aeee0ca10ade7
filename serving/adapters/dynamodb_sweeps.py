"""Deletes rows that nobody can see any more, behind the back of whoever waits; it does not know which those are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from serving.adapters.dynamodb_calls import Calls
from serving.adapters.dynamodb_keys import RowKey
from serving.errors import StoreDown


class Sweeps:
    """What fails is left to the rows' own end."""

    def __init__(self, calls: Calls, timeout_seconds: float) -> None:
        self._calls = calls
        self._timeout_seconds = timeout_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def delete(self, keys: Iterable[RowKey]) -> None:
        if keys := list(keys):
            task = asyncio.get_running_loop().create_task(self._delete(keys))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _delete(self, keys: Iterable[RowKey]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._calls.write(deletes=keys)
        except (StoreDown, TimeoutError):
            pass
