"""The SQLite store's queries on sessions, each a function on a connection; it knows no thread.

A turn never expires before an earlier one of its session or the session's own row. So a session lives as long as its
last turn does, and the last turn of a living session is always there to count from.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from serving.adapters.sqlite.rows import SESSION_COLUMNS, session_of, session_values
from serving.errors import VersionConflict
from serving.front.state.records import Key, Session

TURNS = "place BETWEEN serial << 32 AND (serial << 32) + 4294967295"
_LAST_EXPIRES = f"(SELECT expires_at FROM turns WHERE {TURNS} ORDER BY place DESC LIMIT 1)"
LIVES = f"(sessions.expires_at > :now OR {_LAST_EXPIRES} > :now)"

_FIND = f"SELECT serial, {LIVES} FROM sessions WHERE tenant = :tenant AND id = :id"
_INSERT = f"""
INSERT INTO sessions (tenant, {SESSION_COLUMNS}, expires_at)
VALUES (:tenant, :id, :created_at, :user, :metadata, :history, :parent_id, :parent_number, :expires)
"""
_UPDATE = f"""
UPDATE sessions SET user = :user, metadata = :metadata, history = :history
WHERE tenant = :tenant AND id = :id AND {LIVES}
"""
_LIST = f"""
SELECT {SESSION_COLUMNS} FROM sessions WHERE tenant = :tenant {{of_user}} AND id > :after AND {LIVES}
ORDER BY id LIMIT :limit
"""
_PURGE_TURNS = """
DELETE FROM turns WHERE place IN (SELECT place FROM turns WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""
# Those without a turn that is still to be purged.
_OLD = f"""
SELECT serial, {_LAST_EXPIRES} AS last FROM sessions
WHERE expires_at <= :now AND (last IS NULL OR last > :now) ORDER BY expires_at LIMIT :share
"""


class Life(NamedTuple):
    """The time, and when what is written now expires."""

    now: float
    expires: float


class SessionPage(NamedTuple):
    """Which sessions of a tenant."""

    user: str | None
    after: str
    limit: int


def find(db: sqlite3.Connection, key: Key, now: float) -> tuple[int, bool] | None:
    """A session's serial, and whether it lives."""
    row = db.execute(_FIND, {"tenant": key.tenant, "id": key.id, "now": now}).fetchone()
    return None if row is None else (row[0], bool(row[1]))


def create(db: sqlite3.Connection, session: Session, life: Life) -> None:
    found = find(db, session.key, life.now)
    if found is not None and found[1]:
        raise VersionConflict(f"session {session.key.id} is there")
    if found is not None:
        remove(db, found[0])
    db.execute(_INSERT, {**session_values(session), "expires": life.expires})


def update(db: sqlite3.Connection, session: Session, now: float) -> bool:
    return db.execute(_UPDATE, {**session_values(session), "now": now}).rowcount > 0


def delete(db: sqlite3.Connection, key: Key, now: float) -> bool:
    found = find(db, key, now)
    if found is None:
        return False
    serial, lives = found
    remove(db, serial)
    return lives


def remove(db: sqlite3.Connection, serial: int) -> None:
    """Delete a session with its turns. Serials are never given twice."""
    base = serial << 32
    db.execute("DELETE FROM turns WHERE place BETWEEN ? AND ?", (base, base + 0xFFFFFFFF))
    db.execute("DELETE FROM sessions WHERE serial = ?", (serial,))


def sessions(db: sqlite3.Connection, tenant: str, page: SessionPage, now: float) -> list[Session]:
    query = _LIST.format(of_user="" if page.user is None else "AND user = :user")
    rows = db.execute(query, {**page._asdict(), "tenant": tenant, "now": now})
    return [session_of(tenant, row) for row in rows]


def purge(db: sqlite3.Connection, now: float, share: int) -> int:
    """Delete at most `share` expired turns, and as many sessions that have none left."""
    deleted = db.execute(_PURGE_TURNS, (now, share)).rowcount
    while rows := db.execute(_OLD, {"now": now, "share": share}).fetchall():
        # A session that its turns keep alive is not looked at again before the last of them expires.
        alive = [(last, serial) for serial, last in rows if last is not None]
        db.executemany("UPDATE sessions SET expires_at = ? WHERE serial = ?", alive)
        dead = [(serial,) for serial, last in rows if last is None]
        if dead:
            db.executemany("DELETE FROM sessions WHERE serial = ?", dead)
            return deleted + len(dead)
    return deleted
