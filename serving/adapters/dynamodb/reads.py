"""Reads turns of one session from the DynamoDB table, page by page, at most four times as much as is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from serving.adapters.dynamodb.calls import Calls, Rows, together
from serving.adapters.dynamodb.keys import LAST_MARKER, SESSION, Row, item_lookup, lives, marker_key, marks, number_of
from serving.adapters.dynamodb.notation import Condition
from serving.adapters.dynamodb.rows import turns_of
from serving.adapters.dynamodb.table import LOOKUP
from serving.front.state.records import Turn

# A turn is a marker and, mostly, two to three items; so much is read for each turn asked for.
_ROWS_PER_TURN = 4
_MOST_ROWS = 2000
# Rows read at once by who looks for the last marker.
_MARKER_ROWS = 50
# Ten digits is what a sort key has for it.
_LAST_NUMBER = 10**10 - 1


class Walk(NamedTuple):
    """A key condition, the direction, and the rows of one page."""

    condition: Condition
    forward: bool
    size: int

    def wider(self) -> Walk:
        """Turns of many items take few pages: each reads four times as much as the one before."""
        return self._replace(size=4 * self.size)


class Reads:
    """`partition` is a session's; `session` is its row. What is expired is as if not there."""

    def __init__(self, calls: Calls, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now

    async def session(self, partition: str) -> Row | None:
        row = await self._calls.get((partition, SESSION))
        return row if row is not None and lives(row, self._now()) else None

    async def newest(self, partition: str, limit: int) -> tuple[Row, list[Turn]] | None:
        """The session and its newest turns, newest first; mostly one round trip."""
        walk = Walk(_between(partition, "t#", SESSION), False, 2 + _ROWS_PER_TURN * limit)
        page = await self._page(walk)
        if not page.rows or page.rows[0]["sort_key"] != SESSION or not lives(page.rows[0], self._now()):
            return None
        session, first = page.rows[0], page._replace(rows=page.rows[1:])
        return session, await self._whole(first, session, limit, walk)

    async def turns(self, partition: str, after: int, before: int | None, limit: int, forward: bool) -> list[Turn]:
        last = _LAST_NUMBER if before is None else before - 1
        if limit < 1 or last <= after:
            return []
        if forward:
            return await self._forward(partition, after, last, limit)
        walk = Walk(_between(partition, _first(after + 1), _last(last)), False, _ROWS_PER_TURN * (limit + 1))
        session, page = await together(self.session(partition), self._page(walk))
        return [] if session is None else await self._whole(page, session, limit, walk)

    async def _forward(self, partition: str, after: int, last: int, limit: int) -> list[Turn]:
        """Only what is there before it starts: else it may pass where a turn comes in, and meet the one behind it."""
        newest = await self.newest(partition, 1)
        if newest is None or not newest[1] or newest[1][0].number <= after:
            return []
        session, (turn,) = newest
        walk = Walk(
            _between(partition, _first(after + 1), _last(min(last, turn.number))), True, _ROWS_PER_TURN * (limit + 1)
        )
        return await self._whole(await self._page(walk), session, limit, walk)

    async def turn_rows(self, partition: str, number: int) -> list[Row]:
        """All rows that belong, or may have belonged, to this turn, its marker first: then all its items are there."""
        return await self._calls.every(_between(partition, _first(number), _last(number)), forward=False)

    async def markers(self, partition: str, number: int) -> list[Row]:
        """The marker of this turn in each incarnation."""
        condition = _between(partition, marker_key(number, ""), _last(number))
        return await self._calls.every(condition, forward=True)

    async def last_rows(self, partition: str, limit: int, start: Any = None) -> Rows:
        """Rows of the turns of all incarnations, backwards."""
        condition = _between(partition, "t#", LAST_MARKER)
        return await self._calls.query(condition, forward=False, limit=limit, start=start)

    async def version(self, partition: str, session: Row) -> int:
        """Number of the session's last marker, 0 for none."""
        start = None
        while True:
            page = await self.last_rows(partition, _MARKER_ROWS, start)
            for row in page.rows:
                if marks(row, session["incarnation"]) and lives(row, self._now()):
                    return number_of(row)
            start = page.next
            if start is None:
                return 0

    async def turn(self, partition: str, number: int, session: Row) -> Turn | None:
        rows = await self.turn_rows(partition, number)
        return turns_of(rows, session["incarnation"], self._now()).get(number)

    async def numbers(self, partition: str, lookup: str) -> list[int]:
        """Numbers of the turns whose id, or the id of one of whose items, is this one; some may never have been."""
        condition = Condition("session_id = :id AND lookup_key = :lookup", {":id": partition, ":lookup": lookup})
        rows = await self._calls.every(condition, forward=True, IndexName=LOOKUP)
        return sorted({number_of(row) for row in rows})

    async def holder(self, partition: str, item_id: str) -> Turn | None:
        """The turn that holds this item."""
        session, numbers = await together(self.session(partition), self.numbers(partition, item_lookup(item_id)))
        for number in numbers if session is not None else []:
            turn = await self.turn(partition, number, session)
            if turn is not None and any(item.id == item_id for item in turn.items):
                return turn
        return None

    async def _whole(self, page: Rows, session: Row, limit: int, walk: Walk) -> list[Turn]:
        """The first `limit` turns from this page on. Rows of the last turn of a page may be on the next one too."""
        turns: list[Turn] = []
        rest: list[Row] = []
        while True:
            rows = rest + page.rows
            last = number_of(rows[-1]) if rows and page.next is not None else None
            rest = [row for row in rows if number_of(row) == last]
            found = turns_of((row for row in rows if number_of(row) != last), session["incarnation"], self._now())
            turns += [found[number] for number in sorted(found, reverse=not walk.forward)]
            if len(turns) >= limit or page.next is None:
                return turns[:limit]
            walk = walk.wider()
            page = await self._page(walk, page.next)

    async def _page(self, walk: Walk, start: Any = None) -> Rows:
        size = min(_MOST_ROWS, walk.size)
        return await self._calls.query(walk.condition, forward=walk.forward, limit=size, start=start)


def _between(partition: str, low: str, high: str) -> Condition:
    values = {":id": partition, ":low": low, ":high": high}
    return Condition("session_id = :id AND sort_key BETWEEN :low AND :high", values)


def _first(number: int) -> str:
    return f"t#{min(number, _LAST_NUMBER):010d}#"


def _last(number: int) -> str:
    return f"t#{min(number, _LAST_NUMBER):010d}~~"
