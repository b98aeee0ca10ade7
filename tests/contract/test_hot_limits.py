"""The hot store on a real Redis: sizes, times, names, and data that is not its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from serving.adapters.redis.hot import RedisHot
from serving.front.eager import Run
from serving.front.state.records import Item, Key, Opened, Turn
from tests.contract.values import KEY, session
from tests.support.hot_copies import HOT_TURNS, copied, numbered, past, two_hots
from tests.support.redis_replica import PATIENT, replica, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def hots(server: RedisServer) -> AsyncIterator[tuple[RedisHot, RedisHot]]:
    async with two_hots(server) as both:
        yield both


async def test_only_the_newest_turns_are_kept(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, HOT_TURNS)
    for number in range(HOT_TURNS + 1, HOT_TURNS + 4):
        await here.append(KEY, numbered(number))

    opened = await there.open(KEY, "x")
    assert opened is not None
    assert opened.turns == past(HOT_TURNS + 3).turns[3:]

    await here.open(KEY, "y")
    await here.fill(past(40), "y")
    assert await here.open(KEY, "y") == Opened(session(), past(40).turns[-HOT_TURNS:])


async def test_append_and_read_gives_the_newest_turns_in_one_go(hots: tuple[RedisHot, RedisHot]) -> None:
    here, _ = hots
    await copied(here, 5)

    assert await here.append_and_read(KEY, numbered(6), 3) == Opened(session(), past(6).turns[-3:])


async def test_a_forgotten_copy_is_gone_and_nobody_who_read_before_brings_it_back(
    hots: tuple[RedisHot, RedisHot],
) -> None:
    here, there = hots
    assert await here.open(KEY, "slow") is None
    before = past(2)
    await there.forget(KEY)
    await here.fill(before, "slow")
    await here.append(KEY, numbered(3))
    assert await there.open(KEY, "x") is None

    await copied(here, 2)
    await there.forget(KEY)
    assert await here.open(KEY, "y") is None


async def test_a_session_of_more_than_a_megabyte_has_no_copy(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    large = [numbered(number, "x" * 300_000) for number in range(1, 5)]
    await here.open(KEY, "x")
    await here.fill(Opened(session(), tuple(large)), "x")
    assert await here.open(KEY, "x") is None

    await here.forget(KEY)
    await here.open(KEY, "t4")
    await here.fill(Opened(session(), tuple(large[:3])), "t4")
    assert await here.open(KEY, "t4") == Opened(session(), tuple(large[:3]))
    await here.append(KEY, large[3])
    assert await there.open(KEY, "t5") is None


async def test_a_session_that_grew_a_long_time_keeps_being_copied(hots: tuple[RedisHot, RedisHot]) -> None:
    here, _ = hots
    found = 0
    for number in range(1, 41):
        opened = await here.open(KEY, f"t{number}")
        found += opened is not None
        if opened is None:
            turns = tuple(numbered(n, "x" * 50_000) for n in range(max(1, number - HOT_TURNS), number))
            await here.fill(Opened(session(), turns), f"t{number}")
        await here.append(KEY, numbered(number, "x" * 50_000))

    assert found >= 30


async def test_a_copy_expires_and_its_use_extends_it(server: RedisServer, hots: tuple[RedisHot, RedisHot]) -> None:
    settings = PATIENT.model_copy(update={"hot_ttl_seconds": 1})
    async with replica(server.url, settings) as short:
        await copied(short.hot, 3)
        for _ in range(6):
            await asyncio.sleep(0.25)
            assert await short.hot.open(KEY, "t4") == past(3)
        await asyncio.sleep(1.1)

        assert await hots[0].open(KEY, "t4") is None
        await short.hot.forget(KEY)
        assert server.command("DBSIZE") == ":4"  # the epoch and three replicas


async def test_an_evicted_half_of_a_copy_is_no_copy(server: RedisServer, hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 3)
    server.command("DEL", "tg:{acme:conv_1}:hot1:settled:turns")
    assert await there.open(KEY, "t4") is None
    await there.append(KEY, numbered(4))
    assert await here.open(KEY, "t5") is None

    await copied(here, 3, other := Key("acme", "other"))
    server.command("DEL", "tg:{acme:other}:hot1:settled")
    await there.append(other, numbered(4))
    assert await there.open(other, "t5") is None
    await there.fill(past(1, other), "t5")
    assert await there.open(other, "t5") == past(1, other)


async def test_content_that_cannot_be_stored_drops_the_copy(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 2)
    await here.append(KEY, Turn("t3", 1.0, "chat", (Item("m", {"n": 2**70}),), number=3))

    assert await there.open(KEY, "t4") is None
    await here.fill(Opened(session(), (Turn("t1", 1.0, "chat", (Item("m", {"n": 2**70}),), number=1),)), "t4")
    assert await there.open(KEY, "t4") is None


@pytest.mark.parametrize("garbage", ["SET NAME x", "RPUSH NAME x", "HSET NAME v 1 f 1 s x", "HSET NAME v 1 f 1 b x"])
async def test_foreign_data_under_a_name_is_no_copy(
    server: RedisServer, hots: tuple[RedisHot, RedisHot], garbage: str
) -> None:
    here, _ = hots
    name = "tg:{acme:conv_1}:hot1:settled"
    server.command(*garbage.replace("NAME", name).split())
    server.command("RPUSH", f"{name}:turns", "[1]")

    assert await here.open(KEY, "t1") is None
    await here.append(KEY, numbered(2))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Key("a", "b:c"), Key("a:b", "c")),
        (Key("a}", "b"), Key("a", "}b")),
        (Key("a%3A", "b"), Key("a:", "b")),
        (Key("a", "{b}"), Key("a", "b")),
        (Key("A", "b"), Key("a", "b")),
        (Key("a", "x\r\ny"), Key("a", "x y")),
        (Key("a", "\udcff"), Key("a", "\xff")),
    ],
)
async def test_two_names_never_mean_one_copy(hots: tuple[RedisHot, RedisHot], one: Key, two: Key) -> None:
    here, there = hots
    await copied(here, 2, one)

    assert await there.open(one, "t3") == past(2, one)
    assert await there.open(two, "t3") is None


async def test_scripts_that_the_server_forgot_are_sent_again(
    server: RedisServer, hots: tuple[RedisHot, RedisHot]
) -> None:
    here, there = hots
    await copied(here, 2)
    server.command("SCRIPT", "FLUSH")
    await here.append(KEY, numbered(3))

    async def served() -> bool:
        return await there.open(KEY, "t4") == past(3)

    await until(served)


async def test_a_flow_that_waits_for_redis_stays_free_of_tasks(hots: tuple[RedisHot, RedisHot]) -> None:
    here, _ = hots
    await copied(here, 2)
    seen: list[object] = []

    async def flow() -> None:
        seen.append(await here.open(KEY, "t3"))
        seen.append(asyncio.current_task())
        await here.append(KEY, numbered(3))
        seen.append(asyncio.current_task())

    loop = asyncio.get_running_loop()
    loop.call_soon(Run, flow(), loop)

    async def over() -> bool:
        return len(seen) == 3

    await until(over)
    assert seen == [past(2), None, None]
