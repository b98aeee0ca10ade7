"""The durable store in one SQLite file, safe with several processes on it; the queries are in the modules beside it.

One thread writes, all that is queued in one transaction with one fsync; one thread reads and never waits for the disk
to be written. The file must lie on a local disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from serving.adapters.sqlite import documents as sqlite_documents
from serving.adapters.sqlite import file as sqlite_file
from serving.adapters.sqlite import sessions as sqlite_sessions
from serving.adapters.sqlite import turns as sqlite_turns
from serving.adapters.sqlite.sessions import Life, SessionPage
from serving.adapters.sqlite.thread import SqliteThread, commit_together, read_together
from serving.adapters.sqlite.turns import Addition, Span
from serving.front.state.records import Document, Key, Kind, Opened, Session, Turn
from serving.front.state.stores import Order, Page
from serving.settings import StateSettings

_PURGED_AT_ONCE = 500
_DAY_SECONDS = 86400
# For a command; a front has its own setting.
_PREPARE_SECONDS = 30


class SqliteStore:
    """A `DurableStore`."""

    def __init__(
        self, reader: SqliteThread, writer: SqliteThread, retention_seconds: float, now: Callable[[], float]
    ) -> None:
        self._read = reader.call
        self._write = writer.call
        self._threads = (writer, reader)
        self._retention_seconds = retention_seconds
        self._now = now

    @classmethod
    async def connect(cls, path: str, settings: StateSettings, now: Callable[[], float]) -> SqliteStore:
        """Raises `SettingsError` when the file cannot be used."""
        seconds = settings.store_timeout_seconds
        await asyncio.to_thread(sqlite_file.prepare, path, seconds)
        reader = await asyncio.to_thread(sqlite_file.connect, path, seconds)
        writer = await asyncio.to_thread(sqlite_file.connect, path, 0)
        return cls(
            SqliteThread(reader, read_together, "sqlite-reader", seconds),
            SqliteThread(writer, partial(commit_together, seconds), "sqlite-writer", seconds),
            settings.retention_days * _DAY_SECONDS,
            now,
        )

    @staticmethod
    async def create_schema(path: str) -> bool:
        """Make the file and its tables; False when they were there."""
        return await asyncio.to_thread(sqlite_file.prepare, path, _PREPARE_SECONDS)

    async def create(self, session: Session) -> None:
        await self._write(partial(sqlite_sessions.create, session=session, life=self._life()))

    async def open(self, key: Key, limit: int) -> Opened | None:
        return await self._read(partial(sqlite_turns.open_session, key=key, limit=limit, now=self._now()))

    async def turns(
        self, key: Key, *, after: int = 0, before: int | None = None, limit: int, order: Order
    ) -> list[Turn]:
        span = Span(after, before, limit, order)
        return await self._read(partial(sqlite_turns.turns, key=key, span=span, now=self._now()))

    async def append(self, key: Key, expected: int, turn: Turn, *, new: Session | None = None) -> Turn:
        added = Addition(key, expected, turn, new)
        return await self._write(partial(sqlite_turns.append, added=added, life=self._life()))

    async def update(self, session: Session) -> bool:
        return await self._write(partial(sqlite_sessions.update, session=session, now=self._now()))

    async def delete_items(self, key: Key, number: int, ids: tuple[str, ...] | None = None) -> bool:
        return await self._write(partial(sqlite_turns.delete_items, key=key, number=number, ids=ids, now=self._now()))

    async def delete_session(self, key: Key) -> bool:
        return await self._write(partial(sqlite_sessions.delete, key=key, now=self._now()))

    async def find_item(self, key: Key, item_id: str) -> Turn | None:
        return await self._read(partial(sqlite_turns.find_item, key=key, item_id=item_id, now=self._now()))

    async def sessions(self, tenant: str, *, user: str | None = None, after: str = "", limit: int) -> list[Session]:
        page = SessionPage(user, after, limit)
        return await self._read(partial(sqlite_sessions.sessions, tenant=tenant, page=page, now=self._now()))

    async def put(self, document: Document, expected: int = 0) -> Document:
        now = self._now()
        seconds = self._retention_seconds if document.ttl_seconds is None else document.ttl_seconds
        return await self._write(
            partial(sqlite_documents.put, document=document, expected=expected, now=now, expires=now + seconds)
        )

    async def get(self, kind: Kind, key: Key) -> Document | None:
        return await self._read(partial(sqlite_documents.get, kind=kind, key=key, now=self._now()))

    async def delete(self, kind: Kind, key: Key) -> bool:
        return await self._write(partial(sqlite_documents.delete, kind=kind, key=key, now=self._now()))

    async def documents(self, kind: Kind, tenant: str, page: Page) -> list[Document]:
        return await self._read(
            partial(sqlite_documents.documents, kind=kind, tenant=tenant, page=page, now=self._now())
        )

    async def purge(self) -> int:
        now, share = self._now(), _PURGED_AT_ONCE
        turns = await self._write(partial(sqlite_sessions.purge, now=now, share=share))
        return turns + await self._write(partial(sqlite_documents.purge, now=now, share=share))

    async def close(self) -> None:
        for thread in self._threads:
            await thread.close()

    def _life(self) -> Life:
        now = self._now()
        return Life(now, now + self._retention_seconds)
