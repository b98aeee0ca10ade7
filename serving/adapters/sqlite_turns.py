"""The queries on sessions and turns of the SQLite store, each a function on a connection; it knows no thread.

A turn never expires before an earlier one of its session or the session's own row, so that a session lives as long as
its last turn does, and the last turn of a living session is always there to count from.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import orjson

from serving.errors import SessionGone, VersionConflict
from serving.front.records import Item, Key, Opened, Session, Turn
from serving.front.stores import Order

_NUMBERS = 1 << 32
_TURNS_OF = "place BETWEEN serial << 32 AND (serial << 32) + 4294967295"
_LIVES = f"""
(sessions.expires_at > :now OR
 (SELECT expires_at FROM turns WHERE {_TURNS_OF} ORDER BY place DESC LIMIT 1) > :now)
"""
_SESSION = "id, created_at, user, metadata, history, parent_id, parent_number"
# Rows become one text inside SQLite: each row that Python fetches costs two switches of its global lock.
_ONE_TEXT = "group_concat('[' || (place & 4294967295) || ',' || tokens_before || ',' || body || ']')"

_OPEN = f"""
SELECT {_SESSION}, (
  SELECT {_ONE_TEXT} FROM (
    SELECT place, tokens_before, body FROM turns WHERE {_TURNS_OF} AND expires_at > :now
    ORDER BY place DESC LIMIT :limit))
FROM sessions WHERE tenant = :tenant AND id = :id AND {_LIVES}
"""
_TURNS = """
SELECT {text} FROM (
  SELECT place, tokens_before, body FROM turns
  WHERE place > (:serial << 32) + :after AND place < (:serial << 32) + :before AND expires_at > :now
  ORDER BY place {order} LIMIT :limit)
"""
_APPEND = """
WITH found AS (SELECT serial, expires_at FROM sessions WHERE tenant = :tenant AND id = :id),
     last AS (SELECT place & 4294967295 AS number, tokens_before + tokens AS tokens, expires_at FROM turns
              WHERE place BETWEEN (SELECT serial FROM found) << 32 AND ((SELECT serial FROM found) << 32) + 4294967295
              ORDER BY place DESC LIMIT 1)
INSERT INTO turns (place, session, id, tokens, tokens_before, expires_at, item_ids, body)
SELECT (serial << 32) + :expected + 1, serial, :turn, :tokens, coalesce(last.tokens, 0),
       max(:expires, found.expires_at, coalesce(last.expires_at, 0)), :item_ids, :body
FROM found LEFT JOIN last
WHERE coalesce(last.number, 0) = :expected AND coalesce(last.expires_at, found.expires_at) > :now
ON CONFLICT (session, id) DO NOTHING
RETURNING tokens_before
"""
_INSERT = f"""
INSERT INTO sessions (tenant, {_SESSION}, expires_at)
VALUES (:tenant, :id, :created_at, :user, :metadata, :history, :parent_id, :parent_number, :expires)
"""


class Life(NamedTuple):
    """The time, and when what is written now expires."""

    now: float
    expires: float


def create(db: sqlite3.Connection, session: Session, life: Life) -> None:
    found = _find(db, session.key, life.now)
    if found is not None and found[1]:
        raise VersionConflict(f"session {session.key.id} is there")
    if found is not None:
        _delete(db, found[0])
    _insert(db, session, life)


def open_(db: sqlite3.Connection, key: Key, limit: int, now: float) -> Opened | None:
    row = db.execute(_OPEN, {"tenant": key.tenant, "id": key.id, "limit": limit, "now": now}).fetchone()
    if row is None:
        return None
    return Opened(_session(key.tenant, row), tuple(_turns(row[-1])))


def turns(
    db: sqlite3.Connection, key: Key, *, after: int, before: int | None, limit: int, order: Order, now: float
) -> list[Turn]:
    found = _find(db, key, now)
    if found is None:
        return []
    query = _TURNS.format(text=_ONE_TEXT, order="ASC" if order == "asc" else "DESC")
    before = _NUMBERS if before is None else min(before, _NUMBERS)
    values = {"serial": found[0], "after": after, "before": before, "limit": limit, "now": now}
    listed = _turns(db.execute(query, values).fetchone()[0])
    return listed if order == "asc" else listed[::-1]


def append(db: sqlite3.Connection, key: Key, expected: int, turn: Turn, new: Session | None, life: Life) -> Turn:
    values = {
        "tenant": key.tenant, "id": key.id, "expected": expected, "turn": turn.id, "tokens": turn.tokens,
        "now": life.now, "expires": life.expires, "item_ids": _item_ids(turn), "body": _body(turn),
    }  # fmt: skip
    row = db.execute(_APPEND, values).fetchone()
    if row is None:
        there = _instead(db, key, expected, turn.id, new, life)
        if there is not None:
            return there
        row = db.execute(_APPEND, values).fetchone()
    return Turn(turn.id, turn.created_at, turn.format, turn.items, turn.status, turn.tokens, expected + 1, row[0])


def update(db: sqlite3.Connection, session: Session, now: float) -> bool:
    query = f"""
    UPDATE sessions SET user = :user, metadata = :metadata, history = :history
    WHERE tenant = :tenant AND id = :id AND {_LIVES}
    """
    return db.execute(query, {**_columns(session), "now": now}).rowcount > 0


def delete_items(db: sqlite3.Connection, key: Key, number: int, ids: tuple[str, ...] | None, now: float) -> bool:
    found = _find(db, key, now)
    if found is None:
        return False
    place = (found[0] << 32) + number
    query = "SELECT body FROM turns WHERE place = ? AND expires_at > ?"
    row = db.execute(query, (place, now)).fetchone()
    if row is None:
        return False
    before = _turn(number, 0, orjson.loads(row[0]))
    after = before._replace(items=tuple(item for item in before.items if ids is not None and item.id not in ids))
    query = "UPDATE turns SET item_ids = ?, body = ? WHERE place = ?"
    db.execute(query, (_item_ids(after), _body(after), place))
    return len(after.items) < len(before.items)


def delete_session(db: sqlite3.Connection, key: Key, now: float) -> bool:
    found = _find(db, key, now)
    if found is None:
        return False
    serial, lives = found
    _delete(db, serial)
    return lives


def find_item(db: sqlite3.Connection, key: Key, item_id: str, now: float) -> Turn | None:
    found = _find(db, key, now)
    if found is None:
        return None
    query = """
    SELECT place, tokens_before, body FROM turns
    WHERE place BETWEEN ? AND ? AND expires_at > ? AND instr(item_ids, ?)
    """
    base = found[0] << 32
    for place, tokens_before, body in db.execute(query, (base, base + _NUMBERS - 1, now, _json(item_id))):
        turn = _turn(place - base, tokens_before, orjson.loads(body))
        if any(item.id == item_id for item in turn.items):
            return turn
    return None


def sessions(
    db: sqlite3.Connection, tenant: str, *, user: str | None, after: str, limit: int, now: float
) -> list[Session]:
    of_user = "" if user is None else "AND user = :user"
    query = f"""
    SELECT {_SESSION} FROM sessions WHERE tenant = :tenant {of_user} AND id > :after AND {_LIVES}
    ORDER BY id LIMIT :limit
    """
    values = {"tenant": tenant, "user": user, "after": after, "limit": limit, "now": now}
    return [_session(tenant, row) for row in db.execute(query, values)]


def purge(db: sqlite3.Connection, now: float, share: int) -> int:
    """Delete at most `share` expired turns, and as many sessions whose last turn expired."""
    query = (
        "DELETE FROM turns WHERE place IN (SELECT place FROM turns WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
    )
    deleted = db.execute(query, (now, share)).rowcount
    query = f"""
    SELECT serial, (SELECT expires_at FROM turns WHERE {_TURNS_OF} ORDER BY place DESC LIMIT 1)
    FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
    """
    while rows := db.execute(query, (now, share)).fetchall():
        dead = [serial for serial, last in rows if last is None or last <= now]
        # A session that turns kept alive is not looked at again before its last one expires.
        alive = [(last, serial) for serial, last in rows if last is not None and last > now]
        db.executemany("UPDATE sessions SET expires_at = ? WHERE serial = ?", alive)
        for serial in dead:
            _delete(db, serial)
        if dead:
            return deleted + len(dead)
    return deleted


def _instead(
    db: sqlite3.Connection, key: Key, expected: int, turn_id: str, new: Session | None, life: Life
) -> Turn | None:
    """Why an append inserted nothing: the turn that is there, or an error; None when it may be tried again."""
    found = _find(db, key, life.now)
    if found is not None and found[1]:
        query = "SELECT place, tokens_before, body FROM turns WHERE session = ? AND id = ?"
        row = db.execute(query, (found[0], turn_id)).fetchone()
        if row is not None:
            return _turn(row[0] & (_NUMBERS - 1), row[1], orjson.loads(row[2]))
        raise VersionConflict(f"session {key.id} is not at version {expected}")
    if new is None:
        raise SessionGone(f"session {key.id} is not there")
    if expected != 0:
        raise VersionConflict(f"session {key.id} is new, and not at version {expected}")
    if found is not None:
        _delete(db, found[0])
    _insert(db, new, life)
    return None


def _find(db: sqlite3.Connection, key: Key, now: float) -> tuple[int, bool] | None:
    """A session's serial, and whether it lives."""
    query = f"SELECT serial, {_LIVES} FROM sessions WHERE tenant = :tenant AND id = :id"
    row = db.execute(query, {"tenant": key.tenant, "id": key.id, "now": now}).fetchone()
    return None if row is None else (row[0], bool(row[1]))


def _insert(db: sqlite3.Connection, session: Session, life: Life) -> None:
    db.execute(_INSERT, {**_columns(session), "expires": life.expires})


def _delete(db: sqlite3.Connection, serial: int) -> None:
    base = serial << 32
    db.execute("DELETE FROM turns WHERE place BETWEEN ? AND ?", (base, base + _NUMBERS - 1))
    db.execute("DELETE FROM sessions WHERE serial = ?", (serial,))


def _columns(session: Session) -> dict[str, Any]:
    parent_id, parent_number = session.parent or (None, None)
    return {
        "tenant": session.key.tenant, "id": session.key.id, "created_at": session.created_at, "user": session.user,
        "metadata": _json(session.metadata), "parent_id": parent_id, "parent_number": parent_number,
        "history": None if session.history is None else _json(session.history),
    }  # fmt: skip


def _session(tenant: str, row: tuple[Any, ...]) -> Session:
    id, created_at, user, metadata, history, parent_id, parent_number = row[:7]
    return Session(
        Key(tenant, id),
        created_at,
        user,
        orjson.loads(metadata),
        None if history is None else orjson.loads(history),
        None if parent_id is None else (parent_id, parent_number),
    )


def _item_ids(turn: Turn) -> str:
    return _json([item.id for item in turn.items])


def _body(turn: Turn) -> str:
    items = [(item.id, item.content) for item in turn.items]
    return _json((turn.id, turn.created_at, turn.format, items, turn.status, turn.tokens))


def _turns(text: str | None) -> list[Turn]:
    """Turns out of the text that SQLite made, by number; it may join them in any order."""
    if text is None:
        return []
    return sorted((_turn(*entry) for entry in orjson.loads(f"[{text}]")), key=_number)


def _number(turn: Turn) -> int:
    return turn.number


def _turn(number: int, tokens_before: int, body: list[Any]) -> Turn:
    id, created_at, format, items, status, tokens = body
    return Turn(id, created_at, format, tuple([Item(*item) for item in items]), status, tokens, number, tokens_before)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
