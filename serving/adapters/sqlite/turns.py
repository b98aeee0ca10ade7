"""The SQLite store's queries on turns, each a function on a connection; it knows no thread."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from serving.adapters.sqlite import sessions as sqlite_sessions
from serving.adapters.sqlite.rows import (
    SESSION_COLUMNS,
    as_json,
    body,
    body_begin,
    item_ids,
    session_of,
    turn_of,
    turns_of,
)
from serving.adapters.sqlite.sessions import LIVES, TURNS, Life
from serving.errors import SessionGone, VersionConflict
from serving.front.state.records import Key, Opened, Session, Turn
from serving.front.state.stores import Order

_MOST = 0xFFFFFFFF
# Bodies are joined inside SQLite: each row that Python fetches gives up its global lock twice.
_OPEN = f"""
SELECT {SESSION_COLUMNS}, (
  SELECT group_concat(body) FROM (
    SELECT body FROM turns WHERE {TURNS} AND expires_at > :now ORDER BY place DESC LIMIT :limit))
FROM sessions WHERE tenant = :tenant AND id = :id AND {LIVES}
"""
_TURNS = """
SELECT group_concat(body) FROM (
  SELECT body FROM turns WHERE place > :base + :after AND place < :base + :before AND expires_at > :now
  ORDER BY place {order} LIMIT :limit)
"""
_APPEND = """
WITH found AS (SELECT serial, expires_at FROM sessions WHERE tenant = :tenant AND id = :id),
     last AS (SELECT place & 4294967295 AS number, tokens_before + tokens AS tokens, expires_at FROM turns
              WHERE place BETWEEN (SELECT serial FROM found) << 32 AND ((SELECT serial FROM found) << 32) + 4294967295
              ORDER BY place DESC LIMIT 1)
INSERT INTO turns (place, session, id, tokens, tokens_before, expires_at, item_ids, body)
SELECT (serial << 32) + :expected + 1, serial, :turn, :tokens, coalesce(last.tokens, 0),
       max(:expires, found.expires_at, coalesce(last.expires_at, 0)), :item_ids,
       :body || ',' || (:expected + 1) || ',' || coalesce(last.tokens, 0) || ']'
FROM found LEFT JOIN last
WHERE coalesce(last.number, 0) = :expected AND coalesce(last.expires_at, found.expires_at) > :now
ON CONFLICT (session, id) DO NOTHING
RETURNING tokens_before
"""


class Addition(NamedTuple):
    """A turn that comes after turn number `expected`; `new` is the session to make where there is none."""

    key: Key
    expected: int
    turn: Turn
    new: Session | None


class Span(NamedTuple):
    """Which turns of a session, and in which order."""

    after: int
    before: int | None
    limit: int
    order: Order


def open_session(db: sqlite3.Connection, key: Key, limit: int, now: float) -> Opened | None:
    row = db.execute(_OPEN, {"tenant": key.tenant, "id": key.id, "limit": limit, "now": now}).fetchone()
    if row is None:
        return None
    *columns, bodies = row
    return Opened(session_of(key.tenant, tuple(columns)), tuple(turns_of(bodies)))


def turns(db: sqlite3.Connection, key: Key, span: Span, now: float) -> list[Turn]:
    found = sqlite_sessions.find(db, key, now)
    if found is None:
        return []
    before = _MOST if span.before is None else min(span.before, _MOST)
    values = {"base": found[0] << 32, "after": span.after, "before": before, "limit": span.limit, "now": now}
    (bodies,) = db.execute(_TURNS.format(order=span.order), values).fetchone()
    listed = turns_of(bodies)
    return listed if span.order == "asc" else listed[::-1]


def append(db: sqlite3.Connection, added: Addition, life: Life) -> Turn:
    turn = added.turn
    values = {
        "tenant": added.key.tenant, "id": added.key.id, "expected": added.expected, "turn": turn.id,
        "tokens": turn.tokens, "now": life.now, "expires": life.expires, "item_ids": item_ids(turn),
        "body": body_begin(turn),
    }  # fmt: skip
    row = db.execute(_APPEND, values).fetchone()
    if row is None:
        there = _instead(db, added, life)
        if there is not None:
            return there
        row = db.execute(_APPEND, values).fetchone()
    return turn._replace(number=added.expected + 1, tokens_before=row[0])


def delete_items(db: sqlite3.Connection, key: Key, number: int, ids: tuple[str, ...] | None, now: float) -> bool:
    found = sqlite_sessions.find(db, key, now)
    if found is None:
        return False
    place = (found[0] << 32) + number
    row = db.execute("SELECT body FROM turns WHERE place = ? AND expires_at > ?", (place, now)).fetchone()
    if row is None:
        return False
    before = turn_of(row[0])
    after = before._replace(items=tuple(item for item in before.items if ids is not None and item.id not in ids))
    db.execute("UPDATE turns SET item_ids = ?, body = ? WHERE place = ?", (item_ids(after), body(after), place))
    return len(after.items) < len(before.items)


def find_item(db: sqlite3.Connection, key: Key, item_id: str, now: float) -> Turn | None:
    found = sqlite_sessions.find(db, key, now)
    if found is None:
        return None
    query = "SELECT body FROM turns WHERE place BETWEEN ? AND ? AND expires_at > ? AND instr(item_ids, ?)"
    base = found[0] << 32
    for (text,) in db.execute(query, (base, base + _MOST, now, as_json(item_id))):
        turn = turn_of(text)
        if any(item.id == item_id for item in turn.items):
            return turn
    return None


def _instead(db: sqlite3.Connection, added: Addition, life: Life) -> Turn | None:
    """Why nothing was inserted: the turn that is there, or an error. None: the session is made now, try again."""
    id, expected = added.key.id, added.expected
    found = sqlite_sessions.find(db, added.key, life.now)
    if found is not None and found[1]:
        query = "SELECT body FROM turns WHERE session = ? AND id = ?"
        row = db.execute(query, (found[0], added.turn.id)).fetchone()
        if row is not None:
            return turn_of(row[0])
        raise VersionConflict(f"session {id} is not at version {expected}")
    if added.new is None:
        raise SessionGone(f"session {id} is not there")
    if expected != 0:
        raise VersionConflict(f"session {id} is new, and not at version {expected}")
    sqlite_sessions.create(db, added.new, life)
    return None
