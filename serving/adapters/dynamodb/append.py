"""Appends a turn to a session in the DynamoDB table without a transaction: one conditional write of one row decides.

1 At once: the session's life is extended, which tells its incarnation; the markers about the expected version and those
  of this turn's id are read; the turn's items are written, as an attempt that nobody can see.
2 The turn's marker is put as `expected` + 1 unless there is one: now the turn is there, whole, for everybody.

A crash or a defeat before step 2 leaves rows that no marker names; the loser deletes them, or their end comes. A marker
bears the session's incarnation in its key, so an append that overtakes a delete never reaches the session's successor.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import NamedTuple

from serving.adapters.dynamodb.calls import Calls, Refused, together
from serving.adapters.dynamodb.keys import (
    SESSION,
    Row,
    is_fence,
    key_of,
    lives,
    marker_key,
    number_of,
    session_partition,
    turn_lookup,
)
from serving.adapters.dynamodb.notation import is_free, is_there
from serving.adapters.dynamodb.reads import Reads
from serving.adapters.dynamodb.rows import item_rows, marker_row, session_row
from serving.adapters.dynamodb.sweeps import Sweeps
from serving.errors import SessionGone, VersionConflict
from serving.front.state.records import Key, Session, Turn


class Draft(NamedTuple):
    """A turn on its way in, and the rows of its items."""

    partition: str
    turn: Turn
    attempt: str
    rows: list[Row]
    expires_at: float

    @property
    def expected(self) -> int:
        return self.turn.number - 1


class Appends:
    def __init__(
        self, calls: Calls, reads: Reads, sweeps: Sweeps, retention_seconds: float, now: Callable[[], float]
    ) -> None:
        self._calls = calls
        self._reads = reads
        self._sweeps = sweeps
        self._retention_seconds = retention_seconds
        self._now = now

    async def create(self, session: Session) -> Row:
        """The row of a session without turns. Raises `VersionConflict`."""
        row = session_row(session, secrets.token_hex(8), self._now() + self._retention_seconds)
        try:
            await self._calls.put(row, is_free(self._now()))
        except Refused:
            there = await self._calls.get(key_of(row))
            # An answer was lost and botocore tried again.
            if there is None or there["incarnation"] != row["incarnation"]:
                raise VersionConflict(f"session {session.key.id} is there") from None
        return row

    async def append(self, key: Key, expected: int, turn: Turn, new: Session | None) -> Turn:
        draft = self._draft(session_partition(key), turn._replace(number=expected + 1))
        try:
            stored, entered = await self._stored(draft, new)
        except (VersionConflict, SessionGone):
            self._sweeps.delete(map(key_of, draft.rows))
            raise
        if not entered:
            self._sweeps.delete(map(key_of, draft.rows))
        return stored

    def _draft(self, partition: str, turn: Turn) -> Draft:
        attempt, expires_at = secrets.token_hex(8), self._now() + self._retention_seconds
        rows = item_rows(partition, turn.number, attempt, turn, expires_at)
        return Draft(partition, turn, attempt, rows, expires_at)

    async def _stored(self, draft: Draft, new: Session | None) -> tuple[Turn, bool]:
        """The turn as it is stored, and whether this attempt is what brought it in."""
        session, about, same, _ = await together(
            self._extend(draft),
            self._about(draft),
            self._reads.numbers(draft.partition, turn_lookup(draft.turn.id)),
            self._calls.write(draft.rows),
        )
        if session is None:
            session = await self._made(draft, new)
        for number in same:
            there = await self._reads.turn(draft.partition, number, session)
            if there is not None and there.id == draft.turn.id:
                return there, False
        turn = draft.turn._replace(tokens_before=await self._tokens_before(draft, session, about))
        return await self._enter(draft._replace(turn=turn), session)

    async def _extend(self, draft: Draft) -> Row | None:
        """The session, whose life is longer now; None: it is not there."""
        changes = {"expires_at": math.ceil(draft.expires_at)}
        try:
            return await self._calls.update((draft.partition, SESSION), changes, is_there(self._now()))
        except Refused:
            return None

    async def _about(self, draft: Draft) -> list[Row]:
        """The markers of the expected version; of version 0, which has none, the last row of all turns."""
        if draft.expected:
            return await self._reads.markers(draft.partition, draft.expected)
        return (await self._reads.last_rows(draft.partition, 1)).rows

    async def _made(self, draft: Draft, new: Session | None) -> Row:
        if new is None:
            raise SessionGone(f"session {draft.partition} is not there")
        if draft.expected:
            raise VersionConflict(f"session {draft.partition} is not there")
        try:
            return await self.create(new)
        except VersionConflict:
            session = await self._extend(draft)
            if session is None:
                raise
            return session

    async def _tokens_before(self, draft: Draft, session: Row, about: list[Row]) -> int:
        """What the expected version sums up to. Raises `VersionConflict` when it cannot be the session's version."""
        wrong = VersionConflict(f"session {draft.partition} has not version {draft.expected}")
        incarnation = session["incarnation"]
        if draft.expected == 0:
            # Rows of the first turn are no obstacle: if its marker is among them, this one is refused.
            if about and number_of(about[0]) > 1 and await self._reads.version(draft.partition, session):
                raise wrong
            return 0
        for row in about:
            if row["sort_key"] == marker_key(draft.expected, incarnation) and lives(row, self._now()):
                return int(row["tokens_before"] + row["tokens"])
        raise wrong

    async def _enter(self, draft: Draft, session: Row) -> tuple[Turn, bool]:
        turn, partition = draft.turn, draft.partition
        marker = marker_row(partition, turn, draft.attempt, session["incarnation"], draft.expires_at)
        try:
            await self._calls.put(marker, is_free(self._now()))
        except Refused:
            there = await self._calls.get(key_of(marker)) or {}
            if there.get("attempt") == draft.attempt:
                # An answer was lost and botocore tried again.
                return turn, True
            if is_fence(there):
                raise SessionGone(f"session {partition} was deleted") from None
            same = there.get("turn_id") == turn.id and await self._reads.turn(partition, turn.number, session)
            if not same:
                raise VersionConflict(f"session {partition} has a turn {turn.number}") from None
            return same, False
        return turn, True
