"""The hot store while its real Redis is away, frozen, full, read-only, emptied or back with old data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.adapters.redis_state import RedisState
from serving.errors import SettingsError
from serving.front.eager import Run
from serving.front.records import Key, Opened
from tests.contract.values import session, turn
from tests.support.ports import free_port
from tests.support.redis_replica import QUICK, QUICK_LEASE_SECONDS, replica, settled, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
KEY = Key("acme", "conv_1")
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


def past(version: int) -> Opened:
    return Opened(session(), tuple(turn(f"t{number}", "text", number=number) for number in range(1, version + 1)))


async def copied(state: RedisState, version: int) -> None:
    """A copy of turns t1, t2, … that everybody trusts."""
    last = past(version).turns[-1]

    async def done() -> bool:
        await state.hot.open(KEY, last.id)
        await state.hot.fill(past(version - 1), last.id)
        await state.hot.append(KEY, last)
        found = await state.hot.open(KEY, last.id)
        await state.hot.append(KEY, last)
        return found == past(version)

    await until(done)


async def up(state: RedisState, wanted: bool = True) -> None:
    async def is_up() -> bool:
        return state.is_up is wanted

    await until(is_up)


async def turn_without_redis(state: RedisState, number: int) -> None:
    """What a front does for a turn that the durable store takes."""
    assert await state.hot.open(KEY, f"t{number}") is None
    await state.hot.fill(past(number - 1), f"t{number}")
    await state.hot.append(KEY, past(number).turns[-1])


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
    await copied(here, 2)
    server.kill()
    async with asyncio.timeout(PROMPT_SECONDS):
        await up(here, False)
        await turn_without_redis(here, 3)
        await there.hot.forget(KEY)
    server.start()

    await settled(here.hot)
    await settled(there.hot)
    assert await there.hot.open(KEY, "x") is None
    await copied(here, 4)
    assert here.counts["reconnects"] >= 1
    assert here.counts["failures"] >= 1


async def test_a_frozen_server_is_given_up_within_the_time_out_and_copies_from_before_are_not_served(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here, 2)
    server.freeze()
    async with asyncio.timeout(PROMPT_SECONDS):
        await turn_without_redis(here, 3)
        for number in range(4, 200):
            await turn_without_redis(here, number)
    await up(here, False)
    server.thaw()

    await asyncio.gather(up(here), up(there))
    await settled(here.hot)
    await asyncio.gather(never(here, past(2), 0.5), never(there, past(2), 0.5))
    await settled(there.hot)
    await copied(there, 5)


async def test_a_write_that_failed_after_its_caller_had_left_counts_as_lost(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here, 2)
    server.command("CONFIG", "SET", "maxmemory", "1")
    loop = asyncio.get_running_loop()
    flows: list[Run] = []
    loop.call_soon(lambda: flows.append(Run(here.hot.append(KEY, past(3).turns[-1]), loop)))
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
            await copied(here, 2)
            server.command("SAVE")
            assert await here.hot.open(KEY, "t3") == past(2)
            await here.hot.append(KEY, past(3).turns[-1])
            assert await here.hot.open(KEY, "t4") == past(3)
            await here.hot.append(KEY, past(4).turns[-1])
            server.kill()
            server.start()

            await never(here, past(2), 1.0)
            await settled(here.hot)
            await never(here, past(2), 0.5)


async def test_an_emptied_server_costs_copies_only_and_no_time(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    await copied(here, 2)
    assert await here.hot.open(KEY, "t3") == past(2)
    server.flush()
    await asyncio.sleep(QUICK_LEASE_SECONDS)
    await here.hot.append(KEY, past(3).turns[-1])
    assert await there.hot.open(KEY, "t4") is None
    await there.hot.fill(past(3), "t4")
    await there.hot.append(KEY, past(4).turns[-1])

    assert await here.hot.open(KEY, "t5") == past(4)


async def test_a_full_server_and_a_read_only_one_are_as_if_away(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, _ = pair
    await copied(here, 2)
    for broken, mended in (
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", str(free_port())), ("REPLICAOF", "NO", "ONE")),
    ):
        failures = here.counts["failures"]
        server.command(*broken)
        async with asyncio.timeout(PROMPT_SECONDS):
            await turn_without_redis(here, 3)
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


async def test_a_server_that_comes_later_is_used_then(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    async with replica(server.url, QUICK) as here:
        assert not here.is_up
        await turn_without_redis(here, 1)
        with server:
            await settled(here.hot)
            await copied(here, 2)


async def test_a_server_that_takes_connections_and_says_nothing_does_not_hold_up_the_start(server: RedisServer) -> None:
    server.freeze()
    async with asyncio.timeout(PROMPT_SECONDS), replica(server.url, QUICK) as here:
        assert not here.is_up
        await turn_without_redis(here, 1)
    async with replica(server.url, QUICK) as here:
        server.thaw()
        await settled(here.hot)


async def test_a_password_is_sent_and_a_wrong_one_stops_the_start(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="se cret") as server:
        at = f"127.0.0.1:{server.port}"
        async with replica(f"redis://:se%20cret@{at}/3", QUICK) as here:
            await settled(here.hot)
        for url in (f"redis://{at}", f"redis://:other@{at}", f"redis://user:other@{at}", f"redis://:se%20cret@{at}/99"):
            with pytest.raises(SettingsError, match=r"front\.redis: the server refuses"):
                async with replica(url, QUICK):
                    pass


async def test_a_unix_socket_serves_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("r")
    with RedisServer(folder, "--save", "", "--unixsocket", str(folder / "s")):
        async with replica(f"unix://{folder}/s", QUICK) as here:
            await settled(here.hot)


async def test_a_server_that_is_too_old_stops_the_start() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = b"# Server\r\nredis_version:6.0.16\r\nrun_id:abc\r\n"
        while await reader.read(65536):
            writer.write(b"+OK\r\n$%d\r\n%b\r\n" % (len(told), told) + b"$1\r\nx\r\n" * 9)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(SettingsError, match=r"Redis 6\.0\.16; 6\.2 or later"):
            async with replica(f"redis://127.0.0.1:{port}", QUICK):
                pass


@pytest.mark.parametrize("url", ["http://x", "redis://h?typo=1", "redis://h/0?db=x", "unix://", "redis://h:99999"])
async def test_a_wrong_url_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"front\.redis"):
        async with replica(url, QUICK):
            pass


async def test_what_is_not_redis_is_given_up_without_harm() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(PROMPT_SECONDS), replica(f"redis://127.0.0.1:{port}", QUICK) as here:
            assert not here.is_up


async def test_all_of_a_session_is_in_one_slot_of_a_cluster(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "", "--cluster-enabled", "yes") as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        async with replica(server.url, QUICK) as here:
            await settled(here.hot)
            await copied(here, 2)
            writer = here.streams.open(KEY)
            writer.end(b"data: 1\n\n", 1)
            found = await here.streams.read(KEY, -1)
            assert found is not None
            assert found.ended
