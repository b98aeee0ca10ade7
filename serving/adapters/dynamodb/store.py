"""The durable store on DynamoDB: bounds every call in time and hands it to the part that knows its rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from serving.adapters.dynamodb.append import Appends
from serving.adapters.dynamodb.calls import Calls, Refused
from serving.adapters.dynamodb.client import dynamodb
from serving.adapters.dynamodb.deletes import Deletes
from serving.adapters.dynamodb.documents import Documents
from serving.adapters.dynamodb.keys import SESSION, lives, owner_key, session_partition, short, user_key
from serving.adapters.dynamodb.lists import Listing, listed
from serving.adapters.dynamodb.notation import is_there
from serving.adapters.dynamodb.reads import Reads
from serving.adapters.dynamodb.rows import changeable, session_of
from serving.adapters.dynamodb.sweeps import Sweeps
from serving.adapters.dynamodb.table import check_table, make_table
from serving.errors import StoreDown
from serving.front.state.records import Document, Key, Kind, Opened, Session, Turn
from serving.front.state.stores import Order, Page
from serving.settings import StateSettings

_CREATE_TIMEOUT_SECONDS = 10


class DynamoStore:
    """A `DurableStore`. `sessions` and `documents` follow a write by a moment; all else is strongly consistent."""

    def __init__(
        self, calls: Calls, closing: AsyncExitStack, settings: StateSettings, now: Callable[[], float]
    ) -> None:
        retention_seconds = settings.retention_days * 86400
        self._timeout_seconds = settings.store_timeout_seconds
        self._now = now
        self._calls = calls
        self._closing = closing
        self._sweeps = Sweeps(calls, settings.store_timeout_seconds)
        self._reads = Reads(calls, now)
        self._appends = Appends(calls, self._reads, self._sweeps, retention_seconds, now)
        self._deletes = Deletes(calls, self._reads, self._sweeps, retention_seconds, now)
        self._documents = Documents(calls, self._sweeps, retention_seconds, now)
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def connect(
        cls, table: str, endpoint: str | None, region: str | None, settings: StateSettings, now: Callable[[], float]
    ) -> DynamoStore:
        """Raises `SettingsError` when the table, the credentials or the region are wrong, `StoreDown`."""
        async with AsyncExitStack() as opening:
            client = await opening.enter_async_context(
                dynamodb(table, endpoint, region, settings.store_timeout_seconds)
            )
            await check_table(client, table)
            return cls(Calls(client, table), opening.pop_all(), settings, now)

    @classmethod
    async def create_table(cls, table: str, endpoint: str | None, region: str | None) -> bool:
        """Make the table, without a capacity to plan; False when it was there. Idempotent. Raises `SettingsError`."""
        async with dynamodb(table, endpoint, region, _CREATE_TIMEOUT_SECONDS) as client:
            return await make_table(client, table)

    async def create(self, session: Session) -> None:
        async with self._in_time():
            await self._appends.create(session)

    async def open(self, key: Key, limit: int) -> Opened | None:
        async with self._in_time():
            found = await self._reads.newest(session_partition(key), limit)
        return None if found is None else Opened(session_of(found[0]), tuple(reversed(found[1])))

    async def turns(
        self, key: Key, *, after: int = 0, before: int | None = None, limit: int, order: Order
    ) -> list[Turn]:
        async with self._in_time():
            return await self._reads.turns(session_partition(key), after, before, limit, order == "asc")

    async def append(self, key: Key, expected: int, turn: Turn, *, new: Session | None = None) -> Turn:
        async with self._in_time():
            return await self._appends.append(key, expected, turn, new)

    async def update(self, session: Session) -> bool:
        key = (session_partition(session.key), SESSION)
        async with self._in_time():
            try:
                await self._calls.update(key, changeable(session), is_there(self._now()))
            except Refused:
                return False
        return True

    async def delete_items(self, key: Key, number: int, ids: tuple[str, ...] | None = None) -> bool:
        async with self._in_time():
            return await self._deletes.items(session_partition(key), number, ids)

    async def delete_session(self, key: Key) -> bool:
        async with self._in_time():
            return await self._deletes.session(session_partition(key))

    async def find_item(self, key: Key, item_id: str) -> Turn | None:
        async with self._in_time():
            return await self._reads.holder(session_partition(key), item_id)

    async def sessions(self, tenant: str, *, user: str | None = None, after: str = "", limit: int) -> list[Session]:
        listing = Listing(
            owner_key(tenant, "session"),
            None if user is None else user_key(tenant, "session", user),
            short(after),
            forward=True,
        )
        found: list[Session] = []
        async with self._in_time():
            async for row in listed(self._calls, listing, limit):
                if len(found) >= limit:
                    break
                if lives(row, self._now()) and user in (None, row.get("user")):
                    found.append(session_of(row))
        return found

    async def put(self, document: Document, expected: int = 0) -> Document:
        async with self._in_time():
            return await self._documents.put(document, expected)

    async def get(self, kind: Kind, key: Key) -> Document | None:
        async with self._in_time():
            return await self._documents.get(kind, key)

    async def delete(self, kind: Kind, key: Key) -> bool:
        async with self._in_time():
            return await self._documents.delete(kind, key)

    async def documents(self, kind: Kind, tenant: str, page: Page) -> list[Document]:
        async with self._in_time():
            return await self._documents.documents(kind, tenant, page)

    async def purge(self) -> int:
        """0: DynamoDB deletes what has expired."""
        return 0

    async def close(self) -> None:
        self._closed = True
        await self._idle.wait()
        await self._sweeps.close()
        await self._closing.aclose()

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        if asyncio.current_task() is None:
            # A flow that no Task drives yet becomes one at its first turn of the loop; time-outs need one.
            await asyncio.sleep(0)
        if self._closed:
            raise StoreDown("DynamoDB: this store is closed")
        self._under_way += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError:
            raise StoreDown(f"DynamoDB: no answer within {self._timeout_seconds} s") from None
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
