"""Waits for other processes where SQLite itself does not, or waits badly; it knows no statement."""

from __future__ import annotations

import sqlite3
import time

_POLL_SECONDS = 0.001


def execute(db: sqlite3.Connection, statement: str, patience_seconds: float) -> sqlite3.Cursor:
    """Run a statement, again and again while another process holds the file.

    SQLite's own busy time-out sleeps ever longer and misses the moments between another's commits, and it does not
    hold at all for the switch to WAL. Raises what SQLite raises, once `patience_seconds` are over.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return db.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)
