"""PostgreSQL at the start of a store: the schema, what the database's defaults may not change, and refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from serving.adapters.postgres.connections import connect
from serving.adapters.postgres.migration import migrate
from serving.adapters.postgres.rows import escaped, plain
from serving.adapters.postgres.schema import STEPS, Step
from serving.adapters.postgres.store import PostgresStore
from serving.errors import SettingsError
from serving.front.eager import Run
from serving.front.state.records import Key, Opened
from serving.settings import StateSettings
from tests.contract.values import KEY, document, everything, filled, session, turn
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer
from tests.support.tiers import require

pytestmark = pytest.mark.anyio

SETTINGS = StateSettings(store_timeout_seconds=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    missing = PostgresServer.missing()
    require(missing or "postgresql", missing is None)
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as running:
        yield running


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


async def opened(url: str) -> PostgresStore:
    return await PostgresStore.connect(url, SETTINGS, time.time)


async def migrated(url: str, steps: tuple[Step, ...]) -> bool:
    connection = await connect(url, 20)
    try:
        return await migrate(connection, steps)
    finally:
        await connection.close()


async def refusal(url: str, server: PostgresServer) -> str:
    with pytest.raises(SettingsError) as caught:
        await opened(url)
    assert caught.value.key == "front.store"
    assert server.password not in str(caught.value)
    return str(caught.value)


async def test_many_who_start_at_once_on_an_empty_database_make_one_schema(server: PostgresServer) -> None:
    url = server.bare()
    stores = await asyncio.gather(*(opened(url) for _ in range(8)))
    stored = await filled(stores[0], 2)

    assert [await everything(store) for store in stores] == [stored] * 8
    assert server.sql("SELECT number FROM tidegate.schema_steps ORDER BY 1", database_of(url)) == "\n".join(
        str(number) for number in range(1, len(STEPS) + 1)
    )
    for store in stores:
        await store.close()


async def test_the_schema_is_made_once(server: PostgresServer) -> None:
    url = server.bare()

    assert await PostgresStore.create_schema(url)
    assert not await PostgresStore.create_schema(url)


async def test_missing_steps_are_made_up_for_and_what_is_there_stays(server: PostgresServer) -> None:
    url = server.bare()
    store = await opened(url)
    stored = await filled(store, 2)
    later = Step("later", "ALTER TABLE tidegate.turns ADD COLUMN later int")

    assert await migrated(url, (*STEPS, later))
    assert not await migrated(url, (*STEPS, later))
    assert await everything(store) == stored
    await store.close()


async def test_a_step_that_fails_leaves_nothing_of_those_before_it(server: PostgresServer) -> None:
    url = server.bare()
    with pytest.raises(Exception, match="no_such_table"):
        await migrated(url, (*STEPS, Step("wrong", "ALTER TABLE no_such_table ADD COLUMN x int")))

    assert await PostgresStore.create_schema(url)


async def test_a_newer_schema_is_refused(server: PostgresServer) -> None:
    url = server.bare()
    await migrated(url, (*STEPS, Step("from the future", "SELECT 1")))

    message = await refusal(url, server)
    assert f"version {len(STEPS) + 1} (from the future), this Tidegate knows {len(STEPS)}" in message


async def test_a_role_without_rights_over_the_schema_can_use_one_that_is_there_but_make_none(
    server: PostgresServer,
) -> None:
    made, bare = server.bare(), server.bare()
    await PostgresStore.create_schema(made)
    server.sql(f"CREATE ROLE plain LOGIN PASSWORD '{server.password}'")
    server.sql(
        "GRANT USAGE ON SCHEMA tidegate TO plain;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidegate TO plain",
        database_of(made),
    )
    store = await opened(server.url(database_of(made), user="plain"))
    assert len(await filled(store, 2)) == 2
    assert await store.purge() == 0
    await store.close()

    assert "GRANT CREATE ON DATABASE" in await refusal(server.url(database_of(bare), user="plain"), server)


async def test_each_refusal_names_its_fix(server: PostgresServer) -> None:
    wrong = {
        "password authentication failed": server.url("postgres", password="wrong" + server.password),
        'database "nowhere" does not exist; create the database': server.url("nowhere"),
        "start the server, or correct the host": server.url("postgres", address=("127.0.0.1", free_port())),
        "correct the host, port": server.url("postgres", address=("no-such-host.invalid", 5432)),
        "TLS": server.url("postgres") + "?sslmode=require",
        "parameters in the URL": server.url("postgres") + "?target_session_attrs=nonsense",
    }
    for expected, url in wrong.items():
        assert expected in await refusal(url, server)


async def test_a_database_that_cannot_hold_every_character_is_refused(server: PostgresServer) -> None:
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    assert "create it with ENCODING 'UTF8'" in await refusal(server.url("latin"), server)


async def test_what_is_acknowledged_is_on_the_disk_whatever_the_database_prefers(server: PostgresServer) -> None:
    url = server.bare()
    server.sql(f"ALTER DATABASE {database_of(url)} SET synchronous_commit = off")
    connection = await connect(url, 20)

    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()
    server.sql(f"ALTER DATABASE {database_of(url)} SET synchronous_commit = remote_apply")
    connection = await connect(url, 20)
    assert await connection.fetchval("SHOW synchronous_commit") == "remote_apply"
    await connection.close()


async def test_a_flow_without_a_task_can_call_it(server: PostgresServer) -> None:
    store = await opened(server.fresh())
    await filled(store, 2)
    found: asyncio.Future[Opened | None] = asyncio.get_running_loop().create_future()

    async def flow() -> None:
        found.set_result(await store.open(KEY, 1))

    asyncio.get_running_loop().call_soon(lambda: Run(flow(), asyncio.get_running_loop()))
    opened_session = await found
    assert opened_session is not None
    assert opened_session.version == 2
    await store.close()


async def test_ids_with_control_characters_stay_apart_and_in_order(server: PostgresServer) -> None:
    store = await opened(server.fresh())
    ids = ["a", "a\0", "a\0\0", "a\0\x01", "a\0\x02", "a\x01", "a\x01\0", "a\x01\x01", "a\x01\x02", "a\x02", "b"]
    for id in reversed(ids):
        await store.append(Key(KEY.tenant, id), 0, turn(id, "\0 in the text"), new=session(id, user=id))
        await store.put(document(id, user=id))

    assert [plain(escaped(id)) for id in ids] == ids
    assert [(one.key.id, one.user) for one in await store.sessions(KEY.tenant, limit=99)] == [(id, id) for id in ids]
    for id in ids:
        (one,) = await everything(store, Key(KEY.tenant, id))
        assert (one.id, one.items) == (id, turn(id, "\0 in the text").items)
        assert await store.find_item(Key(KEY.tenant, id), one.items[0].id) == one
        kept = await store.get("response", Key(KEY.tenant, id))
        assert kept is not None
        assert kept.key.id == kept.user == id
    await store.close()
