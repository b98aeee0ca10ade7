"""Values of `records` as PostgreSQL's columns and back; it knows no statement.

A text column takes every character but NUL, so ids and names that hold one are escaped, in a way that keeps their
order. JSON is text as orjson writes it: there a NUL is an escape already (which `jsonb` would refuse).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from serving.front.state.records import Document, Item, Key, Kind, Session, Turn

Row = Mapping[str, Any]
_ESCAPES = {0: "\x01\x01", 1: "\x01\x02"}


def escaped(text: str) -> str:
    return text.translate(_ESCAPES) if "\0" in text or "\x01" in text else text


def plain(text: str) -> str:
    return text.replace("\x01\x01", "\0").replace("\x01\x02", "\x01") if "\x01" in text else text


def escaped_or_none(text: str | None) -> str | None:
    return None if text is None else escaped(text)


def json(value: Any) -> str:
    return orjson.dumps(value).decode()


def json_or_none(value: Any) -> str | None:
    return None if value is None else json(value)


def session_fields(session: Session) -> tuple[Any, ...]:
    """created_at, user_id, metadata, history, parent, parent_number."""
    parent, number = session.parent or (None, None)
    return (
        session.created_at,
        escaped_or_none(session.user),
        json(session.metadata),
        json_or_none(session.history),
        escaped_or_none(parent),
        number,
    )


def session(key: Key, row: Row) -> Session:
    return Session(
        key,
        row["created_at"],
        _plain_or_none(row["user_id"]),
        orjson.loads(row["metadata"]),
        None if row["history"] is None else orjson.loads(row["history"]),
        None if row["parent"] is None else (plain(row["parent"]), row["parent_number"]),
    )


def turn(row: Row) -> Turn:
    items = zip(row["item_ids"] or (), row["contents"] or (), strict=True)
    return Turn(
        plain(row["turn_id"]),
        row["turn_created_at"],
        row["format"],
        tuple(Item(plain(id), orjson.loads(content)) for id, content in items),
        row["status"],
        row["turn_tokens"],
        row["number"],
        row["tokens_before"],
    )


def document(tenant: str, kind: Kind, row: Row) -> Document:
    return Document(
        Key(tenant, plain(row["id"])),
        kind,
        orjson.loads(row["body"]),
        row["created_at"],
        _plain_or_none(row["user_id"]),
        row["revision"],
    )


def _plain_or_none(text: str | None) -> str | None:
    return None if text is None else plain(text)
