"""Opens, or prepares, the durable store that a URL names; how a store keeps things is known in its own module only.

sqlite:///FILE (four slashes for an absolute path), postgresql://USER:PASSWORD@HOST:PORT/DATABASE,
dynamodb://TABLE?region=REGION&endpoint=URL.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from serving.errors import SettingsError, StoreDown
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings

_KEY = "front.store"
_FORMS = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST:PORT/DATABASE or dynamodb://TABLE?region=REGION"
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# What asyncpg reads from a URL and cannot be said before the question mark, and two settings of the server.
_POSTGRES_PARAMETERS = {
    *("host", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("application_name", "search_path"),
}


class SqliteFile(NamedTuple):
    path: str


class PostgresDatabase(NamedTuple):
    """`url` goes to asyncpg as it is; `name` is what may be shown."""

    url: str
    name: str


class DynamoTable(NamedTuple):
    table: str
    endpoint: str | None
    region: str


Target = SqliteFile | PostgresDatabase | DynamoTable


def default_store_url(environ: Mapping[str, str]) -> str:
    """A SQLite file in the state folder of this user, for a front whose settings name no store."""
    base = environ.get("XDG_STATE_HOME")
    folder = (Path(base) if base else Path.home() / ".local" / "state") / "tidegate"
    return f"sqlite:///{quote(str(folder / 'tidegate.db'))}"


async def open_store(url: str, settings: StateSettings, now: Callable[[], float] = time.time) -> DurableStore:
    """Connect; a SQLite file or a PostgreSQL database gets its schema, or the missing steps of it, on the way.

    `now` gives seconds since the epoch. Raises `SettingsError` when the store cannot be used as it is.
    """
    target = parse(url)
    if isinstance(target, SqliteFile):
        from serving.adapters.sqlite.store import SqliteStore

        return await SqliteStore.connect(target.path, settings, now)
    if isinstance(target, PostgresDatabase):
        from serving.adapters.postgres.store import PostgresStore

        return await PostgresStore.connect(target.url, settings, now)
    from serving.adapters.dynamodb.store import DynamoStore

    try:
        return await DynamoStore.connect(target.table, target.endpoint, target.region, settings, now)
    except StoreDown as error:
        raise SettingsError(_KEY, f"{describe(url)} cannot be reached ({error})") from None


async def create(url: str) -> bool:
    """Make the file, the tables or the table that a URL names; False when all of it was there. Idempotent."""
    target = parse(url)
    if isinstance(target, SqliteFile):
        from serving.adapters.sqlite.store import SqliteStore

        return await SqliteStore.create_schema(target.path)
    if isinstance(target, PostgresDatabase):
        from serving.adapters.postgres.store import PostgresStore

        return await PostgresStore.create_schema(target.url)
    from serving.adapters.dynamodb.store import DynamoStore

    return await DynamoStore.create_table(target.table, target.endpoint, target.region)


def parse(url: str) -> Target:
    """What a URL names. Raises `SettingsError`; no message repeats a part of a URL that may be a password."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise SettingsError(_KEY, f"is not a URL; it must be {_FORMS}") from None
    query = dict(pairs)
    if len(query) < len(pairs):
        raise SettingsError(_KEY, "has a parameter twice")
    if parts.fragment:
        raise SettingsError(_KEY, "has a '#'; write it as %23")
    if parts.scheme == "sqlite":
        return _sqlite(parts, query)
    if parts.scheme == "postgresql":
        return _postgres(url, parts, query)
    if parts.scheme == "dynamodb":
        return _dynamodb(parts, query)
    raise SettingsError(_KEY, f"no such kind of store; it must be {_FORMS}")


def describe(url: str) -> str:
    """The store in words, without its credentials."""
    target = parse(url)
    if isinstance(target, SqliteFile):
        return f"the SQLite file {target.path}"
    if isinstance(target, PostgresDatabase):
        return f"the PostgreSQL database {target.name}"
    return f"the DynamoDB table {target.table} in {target.region}"


def _sqlite(parts: SplitResult, query: dict[str, str]) -> SqliteFile:
    _refuse_unknown(query, set())
    if parts.netloc:
        raise SettingsError(_KEY, "sqlite:///FILE has three slashes, and four before an absolute path")
    path = unquote(parts.path[1:])
    if not path or path.endswith("/") or "\0" in path:
        raise SettingsError(_KEY, "names no file; it must be sqlite:///FILE")
    if path == ":memory:":
        raise SettingsError(_KEY, "sqlite:///:memory: is not durable; name a file")
    return SqliteFile(path)


def _postgres(url: str, parts: SplitResult, query: dict[str, str]) -> PostgresDatabase:
    _refuse_unknown(query, _POSTGRES_PARAMETERS)
    try:
        host, port = query.get("host") or parts.hostname, parts.port
    except ValueError:
        raise SettingsError(
            _KEY, "the port is not a number; write '/', '@' and ':' of a password as %2F, %40 and %3A"
        ) from None
    database = unquote(parts.path[1:])
    if not host:
        raise SettingsError(_KEY, "names no host; it must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    if not database or "@" in database:
        raise SettingsError(_KEY, "names no database; it must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return PostgresDatabase(url, f"{database} on {host}{f':{port}' if port else ''}")


def _dynamodb(parts: SplitResult, query: dict[str, str]) -> DynamoTable:
    _refuse_unknown(query, {"endpoint", "region"})
    if not _TABLE.fullmatch(parts.netloc) or parts.path not in ("", "/"):
        raise SettingsError(
            _KEY, "names no table; it must be dynamodb://TABLE?region=REGION, TABLE of 3 to 255 A-Z0-9_.-"
        )
    if not query.get("region"):
        raise SettingsError(_KEY, "names no region; it must be dynamodb://TABLE?region=REGION")
    endpoint = query.get("endpoint")
    if endpoint is not None and not re.match(r"https?://[^/]", endpoint):
        raise SettingsError(_KEY, "endpoint must be an http:// or https:// URL")
    return DynamoTable(parts.netloc, endpoint, query["region"])


def _refuse_unknown(query: dict[str, str], known: set[str]) -> None:
    for name in query:
        if name not in known:
            choice = f"; known: {', '.join(sorted(known))}" if known else ""
            raise SettingsError(_KEY, f"no such parameter: {name}{choice}")
