"""Sessions, turns and documents for the contract tests, and the loop of a client that appends until it is in."""

from __future__ import annotations

from typing import Any

from serving.errors import VersionConflict
from serving.front.state.records import Document, Item, Key, Kind, Session, Turn
from serving.front.state.stores import DurableStore

AT = 1_750_000_000.123456
KEY = Key("acme", "conv_1")


def session(id: str = KEY.id, *, tenant: str = KEY.tenant, **fields: Any) -> Session:
    return Session(Key(tenant, id), AT, **fields)


def turn(id: str, *texts: str, **fields: Any) -> Turn:
    """One item per text; items are called after their turn."""
    items = tuple(Item(f"{id}_{place}", {"role": "user", "content": text}) for place, text in enumerate(texts))
    return Turn(id, AT, fields.pop("format", "chat"), items, **fields)


def document(id: str, *, tenant: str = KEY.tenant, kind: Kind = "response", **fields: Any) -> Document:
    return Document(Key(tenant, id), kind, fields.pop("body", {"id": id}), fields.pop("created_at", AT), **fields)


async def filled(store: DurableStore, count: int, key: Key = KEY) -> list[Turn]:
    """A session of so many turns t1, t2, …, each of ten tokens; what the store gave back for them."""
    new = Session(key, AT)
    return [
        await store.append(key, number - 1, turn(f"t{number}", f"text {number}", tokens=10), new=new)
        for number in range(1, count + 1)
    ]


async def append_until_in(store: DurableStore, key: Key, added: Turn) -> Turn:
    """What a client does that wants its turn in, whoever else writes."""
    expected = 0
    while True:
        try:
            return await store.append(key, expected, added, new=Session(key, AT))
        except VersionConflict:
            opened = await store.open(key, 1)
            expected = opened.version if opened else 0


async def everything(store: DurableStore, key: Key = KEY) -> list[Turn]:
    return await store.turns(key, limit=100_000, order="asc")
