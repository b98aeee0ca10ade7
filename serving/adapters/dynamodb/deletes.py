"""Deletes items, and sessions with all their rows, from the DynamoDB table; a delete that was cut short can go on.

A session goes in this order: its own row expires, so nobody sees it any more; a fence takes the place of the next
marker, so no append under way can come in; turns go, items before the markers that name them; its row goes last. From
the fence on it goes on when its caller leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from serving.adapters.dynamodb.calls import Calls, Refused
from serving.adapters.dynamodb.keys import (
    SESSION,
    Row,
    RowKey,
    attempt_of,
    is_fence,
    is_marker,
    key_of,
    lives,
    marker_key,
    marks,
)
from serving.adapters.dynamodb.notation import Condition, is_there
from serving.adapters.dynamodb.reads import Reads
from serving.adapters.dynamodb.rows import item_key, turns_of
from serving.adapters.dynamodb.sweeps import Sweeps

_DAY_SECONDS = 86400
_SWEEP_ROWS = 1000
# Longer than any append is under way, clocks that differ included; DynamoDB itself bears five minutes of difference.
_ORPHANED_SECONDS = 3600


class Deletes:
    def __init__(
        self, calls: Calls, reads: Reads, sweeps: Sweeps, retention_seconds: float, now: Callable[[], float]
    ) -> None:
        self._calls = calls
        self._reads = reads
        self._sweeps = sweeps
        self._retention_seconds = retention_seconds
        self._now = now

    async def items(self, partition: str, number: int, ids: tuple[str, ...] | None) -> bool:
        session = await self._reads.session(partition)
        if session is None:
            return False
        rows = await self._reads.turn_rows(partition, number)
        turn = turns_of(rows, session["incarnation"], self._now()).get(number)
        gone = {item.id for item in turn.items if ids is None or item.id in ids} if turn else set()
        if not gone:
            return False
        attempt = next(row["attempt"] for row in rows if marks(row, session["incarnation"]))
        own = [row for row in rows if not is_marker(row) and attempt_of(row) == attempt]
        first = [row for row in own if row.get("item_id") in gone]
        items = {item_key(row) for row in first}
        # Without its first part an item is gone.
        await self._calls.write(deletes=[key_of(row) for row in first])
        await self._calls.write(deletes=[key_of(row) for row in own if item_key(row) in items and row not in first])
        return True

    async def session(self, partition: str) -> bool:
        row = await self._calls.get((partition, SESSION))
        if row is None:
            return False
        now = self._now()
        was_there = lives(row, now)
        if was_there:
            try:
                # A day ago, so that it is over by a clock that is late, too.
                end = {"expires_at": int(now) - _DAY_SECONDS, "deleting": 1}
                await self._calls.update(key_of(row), end, is_there(now, incarnation=row["incarnation"]))
            except Refused:
                return False
        elif "deleting" not in row:
            return False
        await asyncio.shield(self._sweeps.start(self._take_away(partition, row)))
        return True

    async def _take_away(self, partition: str, session: Row) -> None:
        incarnation = session["incarnation"]
        await self._fence(partition, session)
        await self._sweep(partition, incarnation)
        # Refused: there is a new session of this id.
        with suppress(Refused):
            await self._calls.delete(key_of(session), Condition("incarnation = :own", {":own": incarnation}))

    async def _fence(self, partition: str, session: Row) -> None:
        """Take the number that the next append would, over again where one was faster."""
        number = await self._reads.version(partition, session)
        while True:
            number += 1
            fence = {
                "session_id": partition,
                "sort_key": marker_key(number, session["incarnation"]),
                "fence": 1,
                "expires_at": int(self._now()) + _DAY_SECONDS,
            }
            try:
                await self._calls.put(fence, Condition("attribute_not_exists(session_id)", {}))
            except Refused:
                continue
            return

    async def _sweep(self, partition: str, incarnation: str) -> None:
        """Delete this incarnation's turns, and the items of old attempts that came to nothing."""
        markers: list[RowKey] = []
        attempts: set[str] = set()
        start = None
        while True:
            page = await self._reads.last_rows(partition, _SWEEP_ROWS, start)
            own = [row for row in page.rows if marks(row, incarnation) and not is_fence(row)]
            markers += map(key_of, own)
            attempts |= {row["attempt"] for row in own}
            await self._calls.write(deletes=[key_of(row) for row in page.rows if self._is_swept(row, attempts)])
            start = page.next
            if start is None:
                break
        await self._calls.write(deletes=markers)

    def _is_swept(self, row: Row, attempts: set[str]) -> bool:
        if is_marker(row):
            return False
        return attempt_of(row) in attempts or not lives(row, self._now() + self._retention_seconds - _ORPHANED_SECONDS)
