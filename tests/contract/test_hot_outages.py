"""The hot store while its real Redis is away, frozen, full, read-only, emptied or back with old data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.adapters.redis.state import RedisState
from serving.front.eager import Run
from serving.front.state.records import Opened
from tests.contract.values import KEY
from tests.support.hot_copies import copied, numbered, past, turn_without_redis
from tests.support.ports import free_port
from tests.support.redis_replica import QUICK, QUICK_LEASE_SECONDS, replica, settled, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
# Far above what a call may take, far below what a hanging one would.
PROMPT_SECONDS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[tuple[RedisState, RedisState]]:
    """Two replicas that notice an outage soon."""
    async with replica(server.url, QUICK) as here, replica(server.url, QUICK) as there:
        await settled(here.hot)
        await settled(there.hot)
        yield here, there


async def up(state: RedisState, wanted: bool = True) -> None:
    async def is_up() -> bool:
        return state.is_up is wanted

    await until(is_up)


async def never(state: RedisState, stale: Opened, seconds: float) -> None:
    """For so long, this copy is not given."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        assert await state.hot.open(KEY, "asks") != stale
        await asyncio.sleep(0.02)


async def test_a_killed_server_costs_nothing_but_the_copies(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here.hot, 2)
    server.kill()
    async with asyncio.timeout(PROMPT_SECONDS):
        await up(here, False)
        await turn_without_redis(here.hot, 3)
        await there.hot.forget(KEY)
    server.start()

    await settled(here.hot)
    await settled(there.hot)
    assert await there.hot.open(KEY, "x") is None
    await copied(here.hot, 4)
    assert here.counts["reconnects"] >= 1
    assert here.counts["failures"] >= 1


async def test_a_frozen_server_is_given_up_within_the_time_out_and_copies_from_before_are_not_served(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here.hot, 2)
    server.freeze()
    async with asyncio.timeout(PROMPT_SECONDS):
        await turn_without_redis(here.hot, 3)
        for number in range(4, 200):
            await turn_without_redis(here.hot, number)
    await up(here, False)
    server.thaw()

    await asyncio.gather(up(here), up(there))
    await settled(here.hot)
    await asyncio.gather(never(here, past(2), 0.5), never(there, past(2), 0.5))
    await settled(there.hot)
    await copied(there.hot, 5)


async def test_a_write_that_failed_after_its_caller_had_left_counts_as_lost(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here.hot, 2)
    server.command("CONFIG", "SET", "maxmemory", "1")
    loop = asyncio.get_running_loop()
    flows: list[Run] = []
    loop.call_soon(lambda: flows.append(Run(here.hot.append(KEY, numbered(3)), loop)))
    loop.call_soon(lambda: flows[0].cancel())
    await asyncio.sleep(0.1)
    server.command("CONFIG", "SET", "maxmemory", "0")

    await settled(here.hot)
    await never(there, past(2), 0.5)


async def test_old_data_that_a_restarted_server_loads_is_not_served(tmp_path: Path) -> None:
    options = ("--save", "3600 1", "--appendonly", "no")
    with RedisServer(tmp_path, *options) as server:
        async with replica(server.url, QUICK) as here:
            await settled(here.hot)
            await copied(here.hot, 2)
            server.command("SAVE")
            assert await here.hot.open(KEY, "t3") == past(2)
            await here.hot.append(KEY, numbered(3))
            assert await here.hot.open(KEY, "t4") == past(3)
            await here.hot.append(KEY, numbered(4))
            server.kill()
            server.start()

            await never(here, past(2), 1.0)
            await settled(here.hot)
            await never(here, past(2), 0.5)


async def test_an_emptied_server_costs_copies_only_and_no_time(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here.hot, 2)
    assert await here.hot.open(KEY, "t3") == past(2)
    server.flush()
    await asyncio.sleep(QUICK_LEASE_SECONDS)
    await here.hot.append(KEY, numbered(3))
    assert await there.hot.open(KEY, "t4") is None
    await there.hot.fill(past(3), "t4")
    await there.hot.append(KEY, numbered(4))

    assert await here.hot.open(KEY, "t5") == past(4)


async def test_a_full_server_and_a_read_only_one_are_as_if_away(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, _ = pair
    await copied(here.hot, 2)
    for broken, mended in (
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", str(free_port())), ("REPLICAOF", "NO", "ONE")),
    ):
        failures = here.counts["failures"]
        server.command(*broken)
        async with asyncio.timeout(PROMPT_SECONDS):
            await turn_without_redis(here.hot, 3)
        assert here.counts["failures"] > failures
        server.command(*mended)
        await settled(here.hot)
        await never(here, past(2), 0.3)


async def test_a_server_that_hangs_up_again_and_again_is_not_hammered(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, _ = pair
    loop = asyncio.get_running_loop()
    end = loop.time() + 3
    while loop.time() < end:
        server.command("CLIENT", "KILL", "TYPE", "normal")
        await asyncio.sleep(0.005)

    assert here.counts["reconnects"] < 15
    await settled(here.hot)
