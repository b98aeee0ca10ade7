"""Opens the SQLite file: its folder, its mode, and the ordered steps that its schema grew by; it runs no query.

A file's steps are named in its table `schema_steps`; a step is never changed once released, only followed by another.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from serving.adapters.sqlite import patience
from serving.errors import SettingsError

_KEY = "front.store"
# RETURNING.
_OLDEST = (3, 35)


class Step(NamedTuple):
    name: str
    statements: tuple[str, ...]


STEPS = (
    Step(
        "sessions, turns and documents",
        (
            """
            CREATE TABLE sessions (
              serial INTEGER PRIMARY KEY AUTOINCREMENT,
              tenant TEXT NOT NULL,
              id TEXT NOT NULL,
              user TEXT,
              created_at REAL NOT NULL,
              metadata TEXT NOT NULL,
              history TEXT,
              parent_id TEXT,
              parent_number INTEGER,
              expires_at REAL NOT NULL,
              UNIQUE (tenant, id)
            )
            """,
            "CREATE INDEX sessions_of_user ON sessions (tenant, user, id) WHERE user IS NOT NULL",
            "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
            # place = serial << 32 | number: the turns of a session lie together, in order, without a further index.
            # What is read with every turn comes last: a long body is not touched by who looks for an item.
            """
            CREATE TABLE turns (
              place INTEGER PRIMARY KEY,
              session INTEGER NOT NULL,
              id TEXT NOT NULL,
              tokens INTEGER NOT NULL,
              tokens_before INTEGER NOT NULL,
              expires_at REAL NOT NULL,
              item_ids TEXT NOT NULL,
              body TEXT NOT NULL
            )
            """,
            "CREATE UNIQUE INDEX turns_by_id ON turns (session, id)",
            "CREATE INDEX turns_by_expiry ON turns (expires_at)",
            """
            CREATE TABLE documents (
              tenant TEXT NOT NULL,
              kind TEXT NOT NULL,
              id TEXT NOT NULL,
              user TEXT,
              created_at REAL NOT NULL,
              revision INTEGER NOT NULL,
              expires_at REAL NOT NULL,
              body TEXT NOT NULL,
              UNIQUE (tenant, kind, id)
            )
            """,
            "CREATE INDEX documents_by_time ON documents (tenant, kind, created_at, id)",
            """
            CREATE INDEX documents_of_user ON documents (tenant, kind, user, created_at, id)
            WHERE user IS NOT NULL
            """,
            "CREATE INDEX documents_by_expiry ON documents (expires_at)",
        ),
    ),
)


def prepare(path: str, timeout_seconds: float) -> bool:
    """Make the file, its folder and its schema, or the missing steps of it; False when nothing was missing."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise SettingsError(_KEY, f"this Python's SQLite is {sqlite3.sqlite_version}; 3.35 or later is needed")
    _make(path)
    db = _connect(path, timeout_seconds)
    try:
        (mode,) = patience.execute(db, "PRAGMA journal_mode = WAL", timeout_seconds).fetchone()
        if mode != "wal":
            raise SettingsError(_KEY, f"{path} lies on a file system without the shared memory that SQLite's WAL needs")
        return _migrate(db, path, timeout_seconds)
    except sqlite3.Error as error:
        raise SettingsError(_KEY, f"cannot use {path}: {error}") from None
    finally:
        db.close()


def connect(path: str, timeout_seconds: float) -> sqlite3.Connection:
    """A connection to a prepared file, for one thread. `timeout_seconds` is how long it waits for other processes."""
    db = _connect(path, timeout_seconds)
    # An acknowledged write survives a power cut, not only a crash of this process.
    db.execute("PRAGMA synchronous = FULL")
    # Fewer, larger checkpoints: a page that many turns changed is copied once. Both in pages, of 4 KiB.
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute("PRAGMA cache_size = 8000")
    db.execute("PRAGMA journal_size_limit = 67108864")
    return db


def _connect(path: str, timeout_seconds: float) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise SettingsError(_KEY, f"cannot open {path}: {error}") from None


def _make(path: str) -> None:
    """An empty file that only its owner reads, unless there is one; SQLite would let everybody read it."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # This opens no file that is there: closing it would end the locks of this process's other connections.
        Path(path).touch(mode=0o600)
    except OSError as error:
        raise SettingsError(_KEY, f"cannot write {path}: {error.strerror}") from None


def _migrate(db: sqlite3.Connection, path: str, timeout_seconds: float) -> bool:
    patience.execute(db, "BEGIN IMMEDIATE", timeout_seconds)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "schema_steps" not in tables:
        raise SettingsError(_KEY, f"{path} is the database of another program; name another file")
    db.execute(
        "CREATE TABLE IF NOT EXISTS schema_steps "
        "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL NOT NULL)"
    )
    applied = [name for (name,) in db.execute("SELECT name FROM schema_steps ORDER BY number")]
    known = [step.name for step in STEPS]
    if applied != known[: len(applied)]:
        unknown = next(name for name in applied if name not in known)
        raise SettingsError(_KEY, f"{path} was made by a newer tidegate (it has '{unknown}'); update this one")
    for number, step in enumerate(STEPS[len(applied) :], len(applied) + 1):
        for statement in step.statements:
            db.execute(statement)
        db.execute("INSERT INTO schema_steps VALUES (?, ?, ?)", (number, step.name, time.time()))
    db.execute("COMMIT")
    return len(applied) < len(STEPS)
