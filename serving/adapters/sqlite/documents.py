"""The queries on documents of the SQLite store, each a function on a connection; it knows no thread."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from serving.errors import VersionConflict
from serving.front.state.records import Document, Key, Kind
from serving.front.state.stores import Page

_COLUMNS = "id, body, created_at, user, revision"
# An expired document is as if it were not there.
_FIRST = """
INSERT INTO documents (tenant, kind, id, user, created_at, revision, expires_at, body)
VALUES (:tenant, :kind, :id, :user, :created_at, 1, :expires, :body)
ON CONFLICT (tenant, kind, id) DO UPDATE SET
  user = :user, created_at = :created_at, revision = 1, expires_at = :expires, body = :body
WHERE expires_at <= :now
RETURNING revision
"""
_NEXT = """
UPDATE documents SET
  user = :user, created_at = :created_at, revision = revision + 1, expires_at = :expires, body = :body
WHERE tenant = :tenant AND kind = :kind AND id = :id AND revision = :expected AND expires_at > :now
RETURNING revision
"""


def put(db: sqlite3.Connection, document: Document, expected: int, now: float, expires: float) -> Document:
    key = document.key
    values = {
        "tenant": key.tenant, "kind": document.kind, "id": key.id, "user": document.user, "expected": expected,
        "created_at": document.created_at, "now": now, "expires": expires,
        "body": orjson.dumps(document.body).decode(),
    }  # fmt: skip
    row = db.execute(_FIRST if expected == 0 else _NEXT, values).fetchone()
    if row is None:
        raise VersionConflict(f"{document.kind} {key.id} is not at revision {expected}")
    return document._replace(revision=row[0])


def get(db: sqlite3.Connection, kind: Kind, key: Key, now: float) -> Document | None:
    query = f"SELECT {_COLUMNS} FROM documents WHERE tenant = ? AND kind = ? AND id = ? AND expires_at > ?"
    row = db.execute(query, (key.tenant, kind, key.id, now)).fetchone()
    return None if row is None else _document(key.tenant, kind, row)


def delete(db: sqlite3.Connection, kind: Kind, key: Key, now: float) -> bool:
    query = "DELETE FROM documents WHERE tenant = ? AND kind = ? AND id = ? AND expires_at > ?"
    return db.execute(query, (key.tenant, kind, key.id, now)).rowcount > 0


def documents(db: sqlite3.Connection, kind: Kind, tenant: str, page: Page, now: float) -> list[Document]:
    beyond, direction = (">", "ASC") if page.order == "asc" else ("<", "DESC")
    query = f"""
    SELECT {_COLUMNS} FROM documents WHERE tenant = :tenant AND kind = :kind AND expires_at > :now
    {"" if page.user is None else "AND user = :user"}
    {"" if page.after is None else f"AND (created_at, id) {beyond} (:created_at, :id)"}
    ORDER BY created_at {direction}, id {direction} LIMIT :limit
    """
    created_at, id = page.after or (None, None)
    values = {
        "tenant": tenant, "kind": kind, "now": now, "user": page.user, "created_at": created_at, "id": id,
        "limit": page.limit,
    }  # fmt: skip
    return [_document(tenant, kind, row) for row in db.execute(query, values)]


def purge(db: sqlite3.Connection, now: float, share: int) -> int:
    """Delete at most `share` expired documents."""
    query = """
    DELETE FROM documents WHERE rowid IN
      (SELECT rowid FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
    """
    return db.execute(query, (now, share)).rowcount


def _document(tenant: str, kind: Kind, row: tuple[Any, ...]) -> Document:
    id, body, created_at, user, revision = row
    return Document(Key(tenant, id), kind, orjson.loads(body), created_at, user, revision)
