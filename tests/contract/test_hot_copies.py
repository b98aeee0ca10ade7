"""The hot store, seen from two replicas of one real Redis: which copies it trusts, and which it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from serving.adapters.redis.hot import RedisHot
from serving.front.state.records import Item, Opened, Session, Turn
from tests.contract.values import KEY
from tests.support.hot_copies import copied, numbered, past, two_hots
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


async def test_who_read_before_a_copy_was_forgotten_and_dies_leaves_no_trusted_copy(
    hots: tuple[RedisHot, RedisHot],
) -> None:
    here, there = hots
    assert await here.open(KEY, "slow") is None
    await there.forget(KEY)
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
