"""How sessions and turns become rows of the DynamoDB table and back; it knows no client and does no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import orjson

from serving.adapters.dynamodb.keys import (
    SESSION,
    Row,
    attempt_of,
    is_fence,
    is_marker,
    item_lookup,
    lives,
    marker_key,
    marks,
    number_of,
    owner_key,
    session_partition,
    short,
    turn_lookup,
    user_key,
)
from serving.front.state.records import Format, Item, Key, Session, Status, Turn

# A row may have 400 KB with its attributes' names; moto allows less, and the page of a Query is 1 MB.
PART_BYTES = 256 * 1024


def session_row(session: Session, incarnation: str, expires_at: float) -> Row:
    tenant, id = session.key
    parent_id, parent_number = session.parent or (None, None)
    return {
        "session_id": session_partition(session.key),
        "sort_key": SESSION,
        "owner_key": owner_key(tenant, "session"),
        "list_key": short(id),
        "tenant": tenant,
        "id": id,
        "created_at": session.created_at,
        "incarnation": incarnation,
        "parent_id": parent_id,
        "parent_number": parent_number,
        "expires_at": math.ceil(expires_at),
        **changeable(session),
    }


def changeable(session: Session) -> Row:
    """What an update of a session replaces; None: the attribute goes."""
    tenant, user = session.key.tenant, session.user
    return {
        "user": user,
        "user_key": None if user is None else user_key(tenant, "session", user),
        "metadata": orjson.dumps(session.metadata).decode(),
        "history": None if session.history is None else orjson.dumps(session.history).decode(),
    }


def session_of(row: Row) -> Session:
    return Session(
        Key(row["tenant"], row["id"]),
        float(row["created_at"]),
        row.get("user"),
        orjson.loads(row["metadata"]),
        orjson.loads(row["history"]) if "history" in row else None,
        (row["parent_id"], int(row["parent_number"])) if "parent_id" in row else None,
    )


def item_rows(partition: str, number: int, attempt: str, turn: Turn, expires_at: float) -> list[Row]:
    return [
        {
            "session_id": partition,
            "sort_key": f"t#{number:010d}#{attempt}#{index:06d}#{part:04d}",
            "created_at": turn.created_at,
            "content": text,
            "expires_at": math.ceil(expires_at),
            **({} if part else {"item_id": item.id, "lookup_key": item_lookup(item.id), "parts": len(texts)}),
        }
        for index, item in enumerate(turn.items)
        for texts in [parts_of(orjson.dumps(item.content))]
        for part, text in enumerate(texts)
    ]


def marker_row(partition: str, turn: Turn, attempt: str, incarnation: str, expires_at: float) -> Row:
    return {
        "session_id": partition,
        "sort_key": marker_key(turn.number, incarnation),
        "lookup_key": turn_lookup(turn.id),
        "created_at": turn.created_at,
        "attempt": attempt,
        "turn_id": turn.id,
        "format": turn.format,
        "status": turn.status,
        "tokens": turn.tokens,
        "tokens_before": turn.tokens_before,
        "expires_at": math.ceil(expires_at),
    }


def turns_of(rows: Iterable[Row], incarnation: str, now: float) -> dict[int, Turn]:
    """The turns of this incarnation that these rows hold, by number."""
    markers: list[Row] = []
    attempts: dict[str, list[Row]] = {}
    for row in rows:
        if is_marker(row):
            if marks(row, incarnation) and not is_fence(row) and lives(row, now):
                markers.append(row)
        else:
            attempts.setdefault(attempt_of(row), []).append(row)
    return {number_of(row): _turn_of(row, attempts.get(row["attempt"], [])) for row in markers}


def _turn_of(marker: Row, rows: list[Row]) -> Turn:
    return Turn(
        marker["turn_id"],
        float(marker["created_at"]),
        cast(Format, marker["format"]),
        tuple(items_of(rows)),
        cast(Status, marker["status"]),
        int(marker["tokens"]),
        number_of(marker),
        int(marker["tokens_before"]),
    )


def items_of(rows: list[Row]) -> Iterable[Item]:
    """Whole items of one attempt, in their order. An item that misses a part is being deleted, and left out."""
    items: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: cast(str, row["sort_key"])):
        items.setdefault(item_key(row), []).append(row)
    for parts in items.values():
        if parts[0].get("parts") == len(parts):
            yield Item(parts[0]["item_id"], orjson.loads("".join(part["content"] for part in parts)))


def item_key(row: Row) -> str:
    """What the parts of one item have in common."""
    return cast(str, row["sort_key"][:-5])


def parts_of(encoded: bytes) -> list[str]:
    """UTF-8 as texts of at most `PART_BYTES`."""
    texts = []
    while len(encoded) > PART_BYTES:
        end = PART_BYTES
        while encoded[end] & 0xC0 == 0x80:
            end -= 1
        texts.append(encoded[:end].decode())
        encoded = encoded[end:]
    return [*texts, encoded.decode()]
