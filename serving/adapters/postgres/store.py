"""The durable store in a PostgreSQL database; what its tables look like and how connections are kept it does not know.

Each call is one round trip; an append that finds its turn there already is two. Parameters of the URL are asyncpg's:
`sslmode` and its kin, `target_session_attrs`, `host` for several hosts. `PGPASSWORD` or `~/.pgpass` gives a password
that the URL lacks. Statements are prepared once per connection, which asyncpg has no URL parameter to change: a
pgbouncer in between pools sessions, or is one of 1.21 or later with `max_prepared_statements` above 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving.adapters import stores
from serving.adapters.postgres import failures, rows
from serving.adapters.postgres import migration as postgres_migration
from serving.adapters.postgres import statements as sql
from serving.adapters.postgres.connections import Connections, connect
from serving.adapters.postgres.rows import escaped
from serving.errors import SessionGone, VersionConflict
from serving.front.state.records import Document, Key, Kind, Opened, Session, Turn
from serving.front.state.stores import Order, Page
from serving.settings import StateSettings

_DAY_SECONDS = 86400
_INIT_TIMEOUT_SECONDS = 10
_NO_SESSION = (None,) * 6
_LAST = 2**31 - 1


class PostgresStore:
    """Satisfies `DurableStore`."""

    def __init__(self, connections: Connections, retention_seconds: float, now: Callable[[], float]) -> None:
        self._fetch = connections.fetch
        self._connections = connections
        self._retention = retention_seconds
        self._now = now

    @classmethod
    async def connect(cls, url: str, settings: StateSettings, now: Callable[[], float]) -> PostgresStore:
        """Bring the schema up to date first. Raises `SettingsError` when the database cannot be used as it is."""
        await _migrate(url, settings.store_timeout_seconds)
        connections = Connections(url, settings.store_timeout_seconds)
        return cls(connections, settings.retention_days * _DAY_SECONDS, now)

    @classmethod
    async def create_schema(cls, url: str) -> bool:
        """False when all of it was there. Raises `SettingsError`."""
        return await _migrate(url, _INIT_TIMEOUT_SECONDS)

    async def create(self, session: Session) -> None:
        now = self._now()
        (row,) = await self._fetch(
            sql.CREATE, *_of(session.key), now, now + self._retention, *rows.session_fields(session)
        )
        if not row["created"]:
            raise VersionConflict(session.key.id)

    async def open(self, key: Key, limit: int) -> Opened | None:
        found = await self._fetch(sql.OPEN, *_of(key), self._now(), limit)
        if not found:
            return None
        turns = tuple(rows.turn(row) for row in found if row["number"] is not None)
        return Opened(rows.session(key, found[-1]), turns)

    async def turns(
        self, key: Key, *, after: int = 0, before: int | None = None, limit: int, order: Order
    ) -> list[Turn]:
        bounds = (min(after, _LAST), _LAST if before is None else min(before, _LAST))
        return [rows.turn(row) for row in await self._fetch(sql.TURNS[order], *_of(key), self._now(), *bounds, limit)]

    async def append(self, key: Key, expected: int, turn: Turn, *, new: Session | None = None) -> Turn:
        now = self._now()
        (row,) = await self._fetch(
            sql.APPEND,
            *(*_of(key), now, now + self._retention, expected),
            *(escaped(turn.id), turn.created_at, turn.format, turn.status, turn.tokens),
            *([escaped(item.id) for item in turn.items], [rows.json(item.content) for item in turn.items]),
            *(new is not None, *(_NO_SESSION if new is None else rows.session_fields(new))),
        )
        if row["outcome"] == "added":
            return turn._replace(number=expected + 1, tokens_before=row["tokens_so_far"])
        if row["outcome"] == "gone":
            raise SessionGone(key.id)
        held = await self._turn(sql.TURN_BY_ID, key, turn.id) if row["outcome"] == "there" else None
        if held is None:
            raise VersionConflict(key.id)
        return held

    async def update(self, session: Session) -> bool:
        _, user, metadata, history, *_ = rows.session_fields(session)
        return bool(await self._fetch(sql.UPDATE, *_of(session.key), self._now(), user, metadata, history))

    async def delete_items(self, key: Key, number: int, ids: tuple[str, ...] | None = None) -> bool:
        where = (*_of(key), self._now(), min(number, _LAST))
        if ids is None:
            return bool(await self._fetch(sql.DELETE_ALL_ITEMS, *where))
        return bool(await self._fetch(sql.DELETE_THESE_ITEMS, *where, [escaped(id) for id in ids]))

    async def delete_session(self, key: Key) -> bool:
        (row,) = await self._fetch(sql.DELETE_SESSION, *_of(key), self._now())
        return bool(row["deleted"])

    async def find_item(self, key: Key, item_id: str) -> Turn | None:
        return await self._turn(sql.TURN_OF_ITEM, key, item_id)

    async def sessions(self, tenant: str, *, user: str | None = None, after: str = "", limit: int) -> list[Session]:
        where = () if user is None else (escaped(user),)
        found = await self._fetch(
            sql.sessions(of_user=user is not None), escaped(tenant), escaped(after), self._now(), limit, *where
        )
        return [rows.session(Key(tenant, rows.plain(row["id"])), row) for row in found]

    async def put(self, document: Document, expected: int = 0) -> Document:
        now = self._now()
        keeps = self._retention if document.ttl_seconds is None else document.ttl_seconds
        found = await self._fetch(
            sql.PUT_NEXT if expected else sql.PUT_FIRST,
            *(escaped(document.key.tenant), document.kind, now, escaped(document.key.id), document.created_at),
            *(rows.escaped_or_none(document.user), rows.json(document.body), now + keeps),
            *((expected,) if expected else ()),
        )
        if not found:
            raise VersionConflict(document.key.id)
        return document._replace(revision=found[0]["revision"])

    async def get(self, kind: Kind, key: Key) -> Document | None:
        found = await self._fetch(sql.GET, escaped(key.tenant), kind, self._now(), escaped(key.id))
        return rows.document(key.tenant, kind, found[0]) if found else None

    async def delete(self, kind: Kind, key: Key) -> bool:
        return bool(await self._fetch(sql.DELETE, escaped(key.tenant), kind, self._now(), escaped(key.id)))

    async def documents(self, kind: Kind, tenant: str, page: Page) -> list[Document]:
        found = await self._fetch(
            sql.documents(page.order, of_user=page.user is not None, after=page.after is not None),
            *(escaped(tenant), kind, self._now(), page.limit),
            *(() if page.user is None else (escaped(page.user),)),
            *(() if page.after is None else (page.after[0], escaped(page.after[1]))),
        )
        return [rows.document(tenant, kind, row) for row in found]

    async def purge(self) -> int:
        (row,) = await self._fetch(sql.PURGE, self._now())
        return int(row["purged"])

    async def close(self) -> None:
        await self._connections.close()

    async def _turn(self, statement: str, key: Key, id: str) -> Turn | None:
        found = await self._fetch(statement, *_of(key), self._now(), escaped(id))
        return rows.turn(found[0]) if found else None


def _of(key: Key) -> tuple[str, str]:
    return escaped(key.tenant), escaped(key.id)


async def _migrate(url: str, timeout_seconds: float) -> bool:
    connection: Any = None
    try:
        connection = await connect(url, timeout_seconds)
        changed = await postgres_migration.migrate(connection)
        await connection.close(timeout=timeout_seconds)
    except failures.FAILURES as error:
        raise failures.refused_start(error, stores.describe(url)) from None
    finally:
        if connection is not None:
            connection.terminate()
    return changed
