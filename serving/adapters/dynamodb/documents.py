"""Documents in the DynamoDB table: one conditional write decides each revision, its long bodies lie beside it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import cast

import orjson

from serving.adapters.dynamodb.calls import Calls, Refused
from serving.adapters.dynamodb.keys import (
    HEAD,
    Row,
    RowKey,
    document_list_key,
    document_partition,
    key_of,
    lives,
    owner_key,
    part_key,
    user_key,
)
from serving.adapters.dynamodb.lists import Listing, listed
from serving.adapters.dynamodb.notation import is_free, is_there
from serving.adapters.dynamodb.rows import parts_of
from serving.adapters.dynamodb.sweeps import Sweeps
from serving.errors import StoreDown, VersionConflict
from serving.front.state.records import Document, Key, Kind
from serving.front.state.stores import Page

# How often the parts of a body may be replaced while one reader reads them.
_READS = 10


class Documents:
    def __init__(self, calls: Calls, sweeps: Sweeps, retention_seconds: float, now: Callable[[], float]) -> None:
        self._calls = calls
        self._sweeps = sweeps
        self._retention_seconds = retention_seconds
        self._now = now

    async def put(self, document: Document, expected: int) -> Document:
        now = self._now()
        stored = document._replace(revision=expected + 1)
        ttl = self._retention_seconds if document.ttl_seconds is None else document.ttl_seconds
        writer = secrets.token_hex(8)
        head, parts = document_rows(stored, writer, now + ttl)
        await self._calls.write(parts)
        try:
            before = await self._calls.put(head, is_there(now, revision=expected) if expected else is_free(now))
        except Refused:
            there = await self._calls.get(key_of(head))
            # An answer was lost and botocore tried again.
            if there is not None and there["writer"] == writer:
                return stored
            self._sweeps.delete(map(key_of, parts))
            raise VersionConflict(f"document {document.key.id} has not revision {expected}") from None
        if before is not None:
            self._sweeps.delete(_parts_of_head(before))
        return stored

    async def get(self, kind: Kind, key: Key) -> Document | None:
        return await self._whole((document_partition(kind, key), HEAD))

    async def delete(self, kind: Kind, key: Key) -> bool:
        before = await self._calls.delete((document_partition(kind, key), HEAD))
        if before is None:
            return False
        await self._calls.write(deletes=_parts_of_head(before))
        return lives(before, self._now())

    async def documents(self, kind: Kind, tenant: str, page: Page) -> list[Document]:
        """The lists of DynamoDB follow a write by a moment."""
        listing = Listing(
            owner_key(tenant, kind),
            None if page.user is None else user_key(tenant, kind, page.user),
            page.after and document_list_key(*page.after),
            page.order == "asc",
        )
        found: list[Document] = []
        async for head in listed(self._calls, listing, page.limit):
            if lives(head, self._now()) and page.user in (None, head.get("user")):
                document = await self._whole(key_of(head), head)
                found += [document] if document is not None else []
            if len(found) == page.limit:
                break
        return found

    async def _whole(self, key: RowKey, head: Row | None = None) -> Document | None:
        """The document of this head row, which is read where it is not given or its parts are gone meanwhile."""
        for _ in range(_READS):
            head = head or await self._calls.get(key)
            if head is None or not lives(head, self._now()):
                return None
            if "content" in head:
                return document_of(head, head["content"])
            parts = await self._calls.read(list(_parts_of_head(head)))
            if len(parts) == head["parts"]:
                return document_of(head, "".join(part["content"] for part in parts))
            head = None
        raise StoreDown(f"DynamoDB: the parts of {key[0]} change faster than they can be read")


def _parts_of_head(head: Row) -> list[RowKey]:
    return [(head["session_id"], part_key(head["writer"], part)) for part in range(head["parts"])]


def document_rows(document: Document, writer: str, expires_at: float) -> tuple[Row, list[Row]]:
    """The head, and the parts that must be there before it. `writer` is what tells this write's parts from others'."""
    (tenant, id), kind, user = document.key, document.kind, document.user
    partition = document_partition(kind, document.key)
    texts = parts_of(orjson.dumps(document.body))
    end = math.ceil(expires_at)
    head = {
        "session_id": partition,
        "sort_key": HEAD,
        "owner_key": owner_key(tenant, kind),
        "user_key": None if user is None else user_key(tenant, kind, user),
        "list_key": document_list_key(document.created_at, id),
        "tenant": tenant,
        "id": id,
        "kind": kind,
        "user": user,
        "created_at": document.created_at,
        "revision": document.revision,
        "writer": writer,
        "parts": 0 if len(texts) == 1 else len(texts),
        "content": texts[0] if len(texts) == 1 else None,
        "expires_at": end,
    }
    parts = [
        {"session_id": partition, "sort_key": part_key(writer, part), "content": text, "expires_at": end}
        for part, text in enumerate(texts if len(texts) > 1 else [])
    ]
    return head, parts


def document_of(head: Row, content: str) -> Document:
    return Document(
        Key(head["tenant"], head["id"]),
        cast(Kind, head["kind"]),
        orjson.loads(content),
        float(head["created_at"]),
        head.get("user"),
        int(head["revision"]),
    )
