"""The stream log as replicas die, Redis goes away, time passes and generations are cancelled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.adapters.redis.state import RedisState
from serving.errors import StoreDown
from serving.front.state.records import Key
from tests.support.redis_replica import PATIENT, QUICK, replica, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
KEY = Key("acme", "resp_1")
PROMPT_SECONDS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[tuple[RedisState, RedisState]]:
    """Two replicas that notice an outage soon."""
    async with replica(server.url, QUICK) as here, replica(server.url, QUICK) as there:
        yield here, there


async def last_event(state: RedisState, key: Key = KEY) -> int | None:
    """The newest readable one; None where the stream is not readable."""
    try:
        replay = await state.streams.read(key, -1)
    except StoreDown:
        return None
    return replay.chunks[-1].last if replay is not None and replay.chunks else None


async def reaches(state: RedisState, number: int | None) -> None:
    async def reached() -> bool:
        return await last_event(state) == number

    await until(reached)


async def test_an_owner_that_was_killed_is_missed_and_its_events_stay(server: RedisServer) -> None:
    command = [sys.executable, "-m", "tests.support.stream_owner", server.url, *KEY, "10"]
    async with replica(server.url) as there:
        owner = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        await reaches(there, 9)
        replay = await there.streams.read(KEY, -1)
        assert replay is not None
        assert replay.has_owner
        owner.kill()
        await owner.wait()

        async def missed() -> bool:
            replay = await there.streams.read(KEY, 4)
            assert replay is not None
            return not replay.has_owner and not replay.ended

        await until(missed)
        await reaches(there, 9)


async def test_an_owner_that_stops_in_order_is_missed_at_once(server: RedisServer) -> None:
    async with replica(server.url) as there:
        async with replica(server.url) as here:
            here.streams.open(KEY).add(b"event 0\n\n", 1)
        replay = await there.streams.read(KEY, -1)

        assert replay is not None
        assert [chunk.data for chunk in replay.chunks] == [b"event 0\n\n"]
        assert not replay.has_owner


async def test_an_ended_stream_expires_and_one_that_runs_does_not(server: RedisServer) -> None:
    short = PATIENT.model_copy(update={"stream_ttl_seconds": 1})
    async with replica(server.url, short) as here:
        running = here.streams.open(KEY)
        here.streams.open(ended := Key("acme", "ended")).end(b"event 0\n\n", 1)
        running.add(b"event 0\n\n", 1)
        await reaches(here, 0)
        await asyncio.sleep(2)
        assert await here.streams.read(ended, -1) is None
        assert await last_event(here) == 0
    await asyncio.sleep(1.2)

    assert server.command("KEYS", "*events*") == "*0"


async def test_a_stream_with_a_gap_is_no_stream_and_its_writer_does_not_mind(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    writer = here.streams.open(KEY)
    writer.add(b"event 0\n\n", 1)
    await reaches(there, 0)
    server.freeze()
    writer.add(b"event 1\n\n", 1)
    async with asyncio.timeout(PROMPT_SECONDS):
        while here.is_up:
            await asyncio.sleep(0.01)
        with pytest.raises(StoreDown):
            await here.streams.read(KEY, -1)
    writer.add(b"event 2\n\n", 1)
    here.streams.open(Key("acme", "other")).add(b"x\n\n", 1)
    server.thaw()

    await reaches(there, None)
    writer.add(b"event 3\n\n", 1)
    writer.end(b"event 4\n\n", 1)
    await asyncio.sleep(0.2)
    assert await there.streams.read(KEY, -1) is None
    new = here.streams.open(KEY)
    new.add(b"event 0\n\n", 1)
    await reaches(there, 0)


async def test_a_stream_whose_redis_was_emptied_does_not_go_on_in_its_middle(
    server: RedisServer, pair: tuple[RedisState, RedisState]
) -> None:
    here, there = pair
    writer = here.streams.open(KEY)
    writer.add(b"event 0\n\n", 1)
    await reaches(there, 0)
    server.flush()
    for number in range(1, 4):
        writer.add(b"event %d\n\n" % number, 1)
        await asyncio.sleep(0.05)
    writer.end(b"event 4\n\n", 1)
    await asyncio.sleep(0.1)

    assert await there.streams.read(KEY, -1) is None
    assert await there.streams.read(KEY, 3) is None


async def test_a_full_redis_ends_the_log(server: RedisServer, pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    writer = here.streams.open(KEY)
    writer.add(b"event 0\n\n", 1)
    await reaches(there, 0)
    server.command("CONFIG", "SET", "maxmemory", "1")
    writer.add(b"event 1\n\n", 1)
    await asyncio.sleep(0.1)
    server.command("CONFIG", "SET", "maxmemory", "0")
    writer.add(b"event 2\n\n", 1)

    await reaches(there, None)


async def test_a_cancel_reaches_every_replica(server: RedisServer) -> None:
    told: list[tuple[str, Key]] = []
    odd = Key("te:nant", 'resp {"1"} ü')
    async with (
        replica(server.url, on_cancel=lambda key: told.append(("here", key))) as here,
        replica(server.url, on_cancel=lambda key: told.append(("there", key))),
    ):
        assert await here.streams.cancel(odd)

        async def both() -> bool:
            return sorted(told) == [("here", odd), ("there", odd)]

        await until(both)


async def test_a_cancel_without_redis_says_so(server: RedisServer) -> None:
    async with replica(server.url, QUICK) as here:
        server.kill()
        async with asyncio.timeout(PROMPT_SECONDS):
            assert not await here.streams.cancel(KEY)


async def test_a_cancel_while_the_owner_could_not_listen_reaches_it_afterwards(server: RedisServer) -> None:
    told: list[Key] = []
    async with replica(server.url, on_cancel=told.append) as owner, replica(server.url) as other:
        writer = owner.streams.open(KEY)
        gone = owner.streams.open(Key("acme", "not cancelled"))
        writer.add(b"event 0\n\n", 1)
        await reaches(other, 0)
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await other.streams.cancel(KEY)

        async def heard() -> bool:
            return KEY in told

        await until(heard)
        assert set(told) == {KEY}
        gone.end(b"", 0)


async def test_a_message_that_is_none_of_ours_harms_nothing(server: RedisServer) -> None:
    told: list[Key] = []
    async with replica(server.url, on_cancel=told.append) as here:
        for garbage in ("x", "[1]", "{}", "[]"):
            server.command("PUBLISH", "tg:cancel", garbage)
        assert await here.streams.cancel(KEY)

        async def heard() -> bool:
            return told == [KEY]

        await until(heard)
        assert here.counts["reconnects"] == 0
