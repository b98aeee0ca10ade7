"""The stream log, written by one replica and read by another over a real Redis: no event missing, none twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from serving.adapters.redis.state import RedisState
from serving.adapters.redis.streams import StoredReplay
from serving.front.state.records import Key
from tests.support.redis_replica import PATIENT, replica, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
KEY = Key("acme", "resp_1")
BOUND = 64 * 1024
# How many events, how large, and whether the batch is over with them.
BATCHES = some.tuples(some.integers(1, 5), some.sampled_from([0, 30, 700, 6000]), some.booleans())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[tuple[RedisState, RedisState]]:
    """A replica that writes and one that reads; a stream holds 64 KiB."""
    server.flush()
    bounded = PATIENT.model_copy(update={"stream_bytes": BOUND})
    async with replica(server.url, bounded) as here, replica(server.url, bounded) as there:
        yield here, there


def event(number: int, size: int = 0) -> bytes:
    return b"data: %d%b\n\n" % (number, b"x" * size)


def numbers_after(replay: StoredReplay, after: int) -> list[int]:
    """Which events a reader gets that has those up to `after`; every chunk must hold what it says."""
    found: list[int] = []
    for chunk in replay.chunks:
        held = [int(line.removeprefix(b"data: ").strip(b"x")) for line in chunk.data.split(b"\n\n")[:-1]]
        assert held == list(range(chunk.first, chunk.last + 1))
        found += [number for number in held if number > after]
    return found


async def written(state: RedisState, key: Key, count: int, *, size: int = 0, ended: bool = True) -> None:
    """A stream of so many events, in batches of a few."""
    writer = state.streams.open(key)
    for number in range(count - ended):
        writer.add(event(number, size), 1)
        if number % 7 == 0:
            await asyncio.sleep(0.001)
    if ended:
        writer.end(event(count - 1, size), 1)


async def read(state: RedisState, key: Key, after: int) -> StoredReplay:
    replay = await state.streams.read(key, after)
    assert replay is not None
    return replay


async def until_ended(state: RedisState, key: Key) -> StoredReplay:
    async def found() -> StoredReplay | None:
        replay = await state.streams.read(key, -1)
        return replay if replay is not None and replay.ended else None

    replay = await until(found)
    assert replay is not None
    return replay


async def test_every_cut_point_gives_exactly_the_rest(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    await written(here, KEY, 200)
    await until_ended(there, KEY)

    for after in range(-1, 200):
        replay = await read(there, KEY, after)
        assert numbers_after(replay, after) == list(range(after + 1, 200))
        assert replay.ended
        assert replay.has_owner


async def test_what_a_reader_asks_for_beyond_the_end_is_nothing(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    await written(here, KEY, 5)
    await until_ended(there, KEY)

    assert await there.streams.read(KEY, 4) == await there.streams.read(KEY, 10_000) == StoredReplay([], True, True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=some.lists(
        some.tuples(some.integers(1, 5), some.sampled_from([0, 30, 700, 6000]), some.booleans()),
        min_size=1,
        max_size=40,
    ),
    last=some.integers(0, 3),
)
def test_batches_of_any_shape_are_read_as_they_were_written(
    server: RedisServer, batches: list[tuple[int, int, bool]], last: int
) -> None:
    async def go() -> None:
        wide = PATIENT.model_copy(update={"stream_bytes": 64 * 1024 * 1024})
        async with replica(server.url, wide) as here, replica(server.url, wide) as there:
            writer, total = here.streams.open(KEY), 0
            for count, size, pauses in batches:
                writer.add(b"".join(event(total + number, size) for number in range(count)), count)
                total += count
                if pauses:
                    await asyncio.sleep(0.025)
            writer.end(b"".join(event(total + number) for number in range(last)), last)
            total += last
            await until_ended(there, KEY)
            for after in {-1, 0, total // 3, total - 2, total - 1}:
                assert numbers_after(await read(there, KEY, after), after) == list(range(after + 1, total))

    asyncio.run(go())


async def test_a_reader_follows_a_stream_that_runs(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    writing = asyncio.create_task(written(here, KEY, 1500))
    got: list[int] = []
    ended = False
    while not ended:
        replay = await there.streams.read(KEY, got[-1] if got else -1)
        if replay is not None:
            got += numbers_after(replay, got[-1] if got else -1)
            ended = replay.ended
    await writing

    assert got == list(range(1500))


async def test_a_stream_is_there_before_its_first_event(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    writer = here.streams.open(KEY)

    async def begun() -> bool:
        return await there.streams.read(KEY, -1) == StoredReplay([], False, True)

    await until(begun)
    writer.end(b"", 0)
    assert (await until_ended(there, KEY)).chunks == []


async def test_an_event_is_readable_soon_without_another_one(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    writer = here.streams.open(KEY)
    writer.add(event(0), 1)

    async def there_is_one() -> bool:
        replay = await there.streams.read(KEY, -1)
        return replay is not None and numbers_after(replay, -1) == [0]

    await until(there_is_one)
    writer.add(event(1), 1)
    writer.end(event(2), 1)
    assert numbers_after(await until_ended(there, KEY), 0) == [1, 2]


async def test_beyond_the_bound_the_oldest_events_go(server: RedisServer, pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    await written(here, KEY, 2000, size=200)

    async def ended() -> bool:
        replay = await there.streams.read(KEY, 1990)
        return replay is not None and replay.ended

    await until(ended)
    assert await there.streams.read(KEY, -1) is None
    assert await there.streams.read(KEY, 1000) is None
    held = BOUND * 3 // 4 // 210
    assert numbers_after(await read(there, KEY, 1999 - held), 1999 - held) == list(range(2000 - held, 2000))
    assert int(server.command("MEMORY", "USAGE", "tg:{acme:resp_1}:events").strip(":")) < 2 * BOUND


async def test_a_batch_larger_than_the_bound_ends_the_log_and_not_the_stream(
    pair: tuple[RedisState, RedisState],
) -> None:
    here, there = pair
    writer = here.streams.open(KEY)
    writer.add(event(0, BOUND + 1), 1)
    writer.end(event(1), 1)

    async def gone() -> bool:
        return await there.streams.read(KEY, -1) is None

    await until(gone)


async def test_streams_of_other_tenants_and_other_ids_are_unknown(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    await written(here, Key("a", "b:c"), 3)
    await until_ended(there, Key("a", "b:c"))

    for other in (Key("a:b", "c"), Key("b", "b:c"), Key("a", "b"), Key("a", "b:c}")):
        assert await there.streams.read(other, -1) is None


async def test_a_stream_that_is_opened_again_begins_anew(pair: tuple[RedisState, RedisState]) -> None:
    here, there = pair
    await written(here, KEY, 50)
    await until_ended(there, KEY)
    await written(there, KEY, 3)

    assert numbers_after(await until_ended(here, KEY), -1) == [0, 1, 2]
