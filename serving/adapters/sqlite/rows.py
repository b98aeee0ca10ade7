"""Sessions and turns as the SQLite store's columns hold them, both ways; it runs no query."""

from __future__ import annotations

from typing import Any

import orjson

from serving.front.state.records import Item, Key, Session, Turn

SESSION_COLUMNS = "id, created_at, user, metadata, history, parent_id, parent_number"


def session_values(session: Session) -> dict[str, Any]:
    parent_id, parent_number = session.parent or (None, None)
    return {
        "tenant": session.key.tenant, "id": session.key.id, "created_at": session.created_at, "user": session.user,
        "metadata": as_json(session.metadata), "parent_id": parent_id, "parent_number": parent_number,
        "history": None if session.history is None else as_json(session.history),
    }  # fmt: skip


def session_of(tenant: str, row: tuple[Any, ...]) -> Session:
    id, created_at, user, metadata, history, parent_id, parent_number = row
    return Session(
        Key(tenant, id),
        created_at,
        user,
        orjson.loads(metadata),
        None if history is None else orjson.loads(history),
        None if parent_id is None else (parent_id, parent_number),
    )


def item_ids(turn: Turn) -> str:
    return as_json([item.id for item in turn.items])


def body_begin(turn: Turn) -> str:
    """A turn's body up to its number, which only the insert knows; what follows is `,NUMBER,TOKENS_BEFORE]`."""
    items = [(item.id, item.content) for item in turn.items]
    return as_json((turn.id, turn.created_at, turn.format, items, turn.status, turn.tokens))[:-1]


def body(turn: Turn) -> str:
    return f"{body_begin(turn)},{turn.number},{turn.tokens_before}]"


def turn_of(body: str) -> Turn:
    return _turn(orjson.loads(body))


def turns_of(bodies: str | None) -> list[Turn]:
    """Turns out of bodies that SQLite joined with commas, by number: it may join them in any order."""
    if bodies is None:
        return []
    return sorted(map(_turn, orjson.loads(f"[{bodies}]")), key=_number)


def as_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _turn(fields: list[Any]) -> Turn:
    fields[3] = tuple(map(Item._make, fields[3]))
    return Turn._make(fields)


def _number(turn: Turn) -> int:
    return turn.number
