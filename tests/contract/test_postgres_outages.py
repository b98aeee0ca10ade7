"""PostgreSQL that is killed, frozen, cut off, full of clients or read-only under a store, which goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from serving.adapters.postgres.connections import Connections
from serving.adapters.postgres.store import PostgresStore
from serving.errors import StoreDown
from serving.front.state.records import Key, Session, Turn
from serving.settings import StateSettings
from tests.contract.values import AT, KEY, append_until_in, everything, filled, session, turn
from tests.support.chaos_proxy import ChaosProxy
from tests.support.postgres_server import PostgresServer
from tests.support.tiers import require

pytestmark = pytest.mark.anyio

SETTINGS = StateSettings(store_timeout_seconds=1)
# The time-out, and what a busy machine adds to it.
SOON_SECONDS = 4
CONNECTIONS = 16
Open = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    missing = PostgresServer.missing()
    require(missing or "postgresql", missing is None)
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.bare()


@pytest.fixture
async def open_store() -> AsyncIterator[Open]:
    made: list[PostgresStore] = []

    async def open_store(url: str, settings: StateSettings = SETTINGS) -> PostgresStore:
        made.append(await PostgresStore.connect(url, settings, time.time))
        return made[-1]

    yield open_store
    for store in made:
        await store.close()


@pytest.fixture
async def store(url: str, open_store: Open) -> PostgresStore:
    return await open_store(url)


def clients_of(server: PostgresServer, url: str) -> int:
    """Connections to the database of `url`."""
    database = url.rpartition("/")[2]
    return int(server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"))


async def calls_on_every_connection(store: PostgresStore) -> None:
    await asyncio.gather(*(store.open(KEY, 1) for _ in range(4 * CONNECTIONS)))


async def is_soon_down(call: Awaitable[object]) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        with pytest.raises(StoreDown):
            await call


async def chat_until(over: asyncio.Event, store: PostgresStore, key: Key) -> list[Turn]:
    """One client's turns, each sent again until the store has it; what was acknowledged."""
    acknowledged: list[Turn] = []
    while not over.is_set():
        added = turn(f"{key.id}-{len(acknowledged)}", "question", "answer", tokens=3)
        try:
            acknowledged.append(await store.append(key, len(acknowledged), added, new=Session(key, AT)))
        except StoreDown:
            await asyncio.sleep(0.02)
    return acknowledged


async def test_no_acknowledged_turn_is_lost_or_doubled_when_the_server_is_killed(
    server: PostgresServer, store: PostgresStore
) -> None:
    keys = [Key(KEY.tenant, f"s{number}") for number in range(12)]
    over = asyncio.Event()
    chats = [asyncio.ensure_future(chat_until(over, store, key)) for key in keys]
    for _ in range(2):
        await asyncio.sleep(0.7)
        await asyncio.to_thread(server.kill)
        await is_soon_down(store.open(keys[0], 1))
        await asyncio.to_thread(server.start)
    await asyncio.sleep(0.7)
    over.set()

    for key, chat in zip(keys, chats, strict=True):
        acknowledged = await chat
        assert len(acknowledged) > 2
        assert await everything(store, key) == acknowledged


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_after_a_restart_the_first_call_works(
    server: PostgresServer, url: str, store: PostgresStore, mode: str
) -> None:
    stored = await filled(store, 2)
    await calls_on_every_connection(store)
    await asyncio.to_thread(server.stop, mode)
    await is_soon_down(store.append(KEY, 2, turn("t3", "x")))

    await asyncio.to_thread(server.start)
    assert await everything(store) == stored
    assert (await store.append(KEY, 2, turn("t3", "x"))).number == 3


async def test_a_silent_server_is_down_in_time_and_its_connections_are_not_used_again(
    server: PostgresServer, url: str, store: PostgresStore
) -> None:
    await filled(store, 1)
    await calls_on_every_connection(store)
    with server.frozen():
        await asyncio.gather(*(is_soon_down(store.open(KEY, 1)) for _ in range(3 * CONNECTIONS)))
        await is_soon_down(append_until_in(store, KEY, turn("t2", "x")))

    added = await append_until_in(store, KEY, turn("t2", "x"))
    assert [one.id for one in await everything(store)] == ["t1", added.id]
    assert clients_of(server, url) <= CONNECTIONS


async def test_connections_that_lead_nowhere_cost_one_time_out_and_no_more(
    server: PostgresServer, url: str, store: PostgresStore
) -> None:
    await filled(store, 1)
    await calls_on_every_connection(store)
    with server.frozen_connections(url):
        await is_soon_down(store.open(KEY, 1))

        assert [await store.open(KEY, 1) is not None for _ in range(CONNECTIONS)] == [True] * CONNECTIONS


async def test_a_silent_connection_whose_call_was_cancelled_is_not_used_again(
    server: PostgresServer, url: str, store: PostgresStore
) -> None:
    await filled(store, 1)
    await calls_on_every_connection(store)
    with server.frozen_connections(url):
        calls = [asyncio.ensure_future(store.open(KEY, 1)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0.1)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        assert await store.open(KEY, 1) is not None


async def test_a_black_hole_on_the_way_is_down_in_time_and_over_when_it_is_over(
    server: PostgresServer, url: str, open_store: Open
) -> None:
    with ChaosProxy(server.address) as proxy:
        store = await open_store(url.replace(f":{server.address[1]}/", f":{proxy.address[1]}/"))
        await filled(store, 1)
        proxy.switch("black_hole")
        await asyncio.gather(*(is_soon_down(store.open(KEY, 1)) for _ in range(3 * CONNECTIONS)))

        proxy.switch("pass")
        await calls_on_every_connection(store)


async def test_a_server_that_refuses_is_down_at_once(server: PostgresServer, url: str, open_store: Open) -> None:
    store = await open_store(url, StateSettings(store_timeout_seconds=60))
    await asyncio.to_thread(server.stop)

    await asyncio.gather(*(is_soon_down(store.open(KEY, 1)) for _ in range(3 * CONNECTIONS)))
    await asyncio.to_thread(server.start)
    await calls_on_every_connection(store)


async def test_a_connection_handed_to_a_call_that_is_cancelled_goes_to_the_next(url: str) -> None:
    connections = Connections(url, SOON_SECONDS, size=1)

    async def first() -> None:
        await connections.fetch("SELECT pg_sleep(0.1)")
        second.cancel()

    first_call = asyncio.ensure_future(first())
    await asyncio.sleep(0)
    second = asyncio.ensure_future(connections.fetch("SELECT 1"))
    await asyncio.gather(first_call, second, return_exceptions=True)

    assert second.cancelled()
    assert len(await connections.fetch("SELECT 1")) == 1
    await connections.close()


async def test_cancelled_calls_leave_no_connection_behind(server: PostgresServer, url: str, open_store: Open) -> None:
    store = await open_store(url)
    await filled(store, 1)
    for round in range(20):
        calls = [asyncio.ensure_future(store.open(KEY, 1)) for _ in range(3 * CONNECTIONS)]
        await asyncio.sleep(0.0005 * round)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    await calls_on_every_connection(store)
    assert clients_of(server, url) <= CONNECTIONS
    await store.close()
    assert clients_of(server, url) == 0


async def test_a_call_that_waits_for_a_lock_ends_in_time_here_and_in_the_server(
    server: PostgresServer, url: str, store: PostgresStore
) -> None:
    await filled(store, 1)
    database = url.rpartition("/")[2]
    holder = asyncio.create_task(
        asyncio.to_thread(
            server.sql, "BEGIN; SELECT FROM tidegate.sessions FOR UPDATE; SELECT pg_sleep(4); COMMIT", database
        )
    )
    await asyncio.sleep(0.5)
    await is_soon_down(store.append(KEY, 1, turn("t2", "x")))

    assert [one.id for one in await everything(store)] == ["t1"]
    await holder
    assert [one.id for one in await everything(store)] == ["t1"]
    assert (await store.append(KEY, 1, turn("t2", "x"))).number == 2


async def test_a_server_that_takes_few_connections_serves_all_calls_by_these(
    server: PostgresServer, url: str, open_store: Open
) -> None:
    database = url.rpartition("/")[2]
    server.sql(f"CREATE ROLE few LOGIN PASSWORD '{server.password}' CONNECTION LIMIT 2")
    await PostgresStore.create_schema(url)
    server.sql("GRANT ALL ON SCHEMA tidegate TO few; GRANT ALL ON ALL TABLES IN SCHEMA tidegate TO few", database)
    store = await open_store(server.url(database, user="few"))
    keys = [Key(KEY.tenant, f"s{number}") for number in range(40)]

    stored = await asyncio.gather(*(store.append(key, 0, turn("t", "x"), new=Session(key, AT)) for key in keys))
    assert [one.number for one in stored] == [1] * 40
    server.sql("ALTER ROLE few CONNECTION LIMIT 0")
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few'")
    await asyncio.sleep(0.2)
    await is_soon_down(store.open(KEY, 1))


async def test_a_primary_that_became_a_standby_is_left_for_the_next_one(
    server: PostgresServer, url: str, store: PostgresStore
) -> None:
    await filled(store, 1)
    database = url.rpartition("/")[2]
    server.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    await asyncio.sleep(0.2)
    await is_soon_down(store.append(KEY, 1, turn("t2", "x")))

    # Open connections stay read-only: only a new one can write.
    server.sql(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert (await store.append(KEY, 1, turn("t2", "x"))).number == 2


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_stricter_isolation_of_the_database_costs_attempts_and_no_turn(
    server: PostgresServer, url: str, open_store: Open, isolation: str
) -> None:
    server.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_isolation = '{isolation}'")
    store = await open_store(url, StateSettings(store_timeout_seconds=60))
    await asyncio.gather(*(append_until_in(store, KEY, turn(f"t{number}", "x")) for number in range(6)))

    found = await everything(store)
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6]
    assert {one.id for one in found} == {f"t{number}" for number in range(6)}


async def test_a_lost_database_is_down(server: PostgresServer, url: str, store: PostgresStore) -> None:
    await store.create(session())
    server.sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
    await asyncio.sleep(0.2)

    await is_soon_down(store.open(KEY, 1))
