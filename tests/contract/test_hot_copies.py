"""The hot store, seen from two replicas of one real Redis: which copies it gives, and which it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from serving.adapters.redis_hot import RedisHot
from serving.front.eager import Run
from serving.front.records import Item, Key, Opened, Session, Turn
from tests.contract.values import KEY, session, turn
from tests.support.redis_replica import PATIENT, replica, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
HOT_TURNS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def hots(server: RedisServer) -> AsyncIterator[tuple[RedisHot, RedisHot]]:
    """Those of two replicas, over an empty Redis."""
    server.flush()
    server.settle()
    settings = PATIENT.model_copy(update={"hot_turns": HOT_TURNS})
    async with replica(server.url, settings) as here, replica(server.url, settings) as there:
        yield here.hot, there.hot


def numbered(number: int, text: str = "text", id: str | None = None) -> Turn:
    return turn(id or f"t{number}", text, number=number, tokens=10, tokens_before=10 * (number - 1))


def past(version: int, key: Key = KEY) -> Opened:
    """A session of turns t1, t2, …"""
    return Opened(session(key.id, tenant=key.tenant), tuple(numbered(number) for number in range(1, version + 1)))


async def copied(hot: RedisHot, version: int, key: Key = KEY) -> None:
    """A copy that everybody trusts."""
    last = f"t{version}"
    await hot.open(key, last)
    await hot.fill(past(version - 1, key), last)
    await hot.append(key, numbered(version))


async def test_a_session_comes_back_as_it_was_filled_and_appended(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    whole = Session(KEY, 17.25, "user-1", {"topic": "é\u2028🙂"}, {"strategy": "window", "turns": 2}, ("parent", 3))
    items = (
        Item("m1", {"role": "user", "content": [{"type": "input_text", "text": "\x00 ü"}]}),
        Item("m2", {"n": 1.5}),
    )
    first = Turn("t1", 18.5, "response", items, "incomplete", 7, 1, 0)
    second = Turn("t2", 19.0, "chat", (), "complete", 0, 2, 7)
    assert await here.open(KEY, "t2") is None
    await here.fill(Opened(whole, (first,)), "t2")
    await here.append(KEY, second)

    assert await there.open(KEY, "t3") == Opened(whole, (first, second))


async def test_a_session_without_turns_has_a_copy_too(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 1)

    assert await there.open(KEY, "t2") == past(1)


async def test_a_turn_that_another_one_opened_meanwhile_is_not_trusted(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 3)

    assert await here.open(KEY, "t4") == past(3)
    assert await there.open(KEY, "other") is None
    assert await there.open(KEY, "other") == past(3)
    assert await here.open(KEY, "t4") is None


async def test_what_a_replica_wrote_durably_before_it_died_is_not_missing(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 3)
    assert await here.open(KEY, "t4") == past(3)

    assert await there.open(KEY, "t5") is None
    await there.fill(past(4), "t5")
    await there.append(KEY, numbered(5))
    assert await there.open(KEY, "t6") == past(5)


async def test_a_slow_fill_does_not_replace_what_is_newer(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    assert await here.open(KEY, "slow") is None
    await copied(there, 4)

    await here.fill(past(2), "slow")
    assert await there.open(KEY, "t5") == past(4)


async def test_who_reads_slowly_and_dies_leaves_no_trusted_copy(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    assert await here.open(KEY, "slow") is None
    await copied(there, 4)
    await here.fill(past(4), "slow")  # then it writes turn 5 to the durable store, and dies

    assert await there.open(KEY, "t6") is None


async def test_two_who_fill_and_append_at_once_leave_what_the_durable_store_has(
    hots: tuple[RedisHot, RedisHot],
) -> None:
    here, there = hots
    await here.open(KEY, "t3")
    await there.open(KEY, "lost")
    await here.fill(past(2), "t3")
    await there.fill(past(2), "lost")
    await here.append(KEY, numbered(3))

    assert await here.open(KEY, "lost") == past(3)


async def test_a_turn_that_is_not_the_next_drops_the_copy(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 2)
    await there.append(KEY, numbered(4))

    assert await here.open(KEY, "t5") is None


async def test_a_turn_that_is_there_is_not_added_again(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 3)
    await here.append(KEY, numbered(3))
    await there.append(KEY, numbered(2))

    assert await there.open(KEY, "t4") == past(3)


async def test_another_turn_under_a_known_number_drops_the_copy(hots: tuple[RedisHot, RedisHot]) -> None:
    here, there = hots
    await copied(here, 3)
    await there.append(KEY, numbered(2, "of another life"))

    assert await here.open(KEY, "t4") is None


async def test_a_session_that_was_deleted_and_made_anew_replaces_its_former_self(
    hots: tuple[RedisHot, RedisHot],
) -> None:
    here, there = hots
    await copied(here, 5)
    anew = Opened(Session(KEY, 99.0), (numbered(1, "anew"),))
    await here.open(KEY, "x")
    await there.open(KEY, "y")
    await there.fill(anew, "y")

    assert await there.open(KEY, "y") == anew


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
