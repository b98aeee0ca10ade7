"""The DynamoDB store while the service throttles, fails, answers in part or not at all, against both stand-ins."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from serving.adapters.dynamodb.store import DynamoStore
from serving.errors import SessionGone, StoreDown, VersionConflict
from serving.front.state.records import Key
from serving.front.state.stores import DurableStore, Order
from serving.settings import StateSettings
from tests.contract.values import KEY, document, everything, filled, session, turn
from tests.support.dynamodb_faults import Faults, How
from tests.support.dynamodb_server import REGION, DynamoServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["dynamodb-moto", "dynamodb-dynalite"], indirect=True),
]


@pytest.fixture
async def faults(backend: DynamoServer) -> AsyncIterator[Faults]:
    async with Faults(backend.endpoint) as faults:
        yield faults


@pytest.fixture
def table(backend: DynamoServer) -> str:
    return backend.fresh().partition("//")[2].partition("?")[0]


async def opened(table: str, endpoint: str, timeout_seconds: float = 20) -> DynamoStore:
    settings = StateSettings(store_timeout_seconds=timeout_seconds)
    return await DynamoStore.connect(table, endpoint, REGION, settings, time.time)


@pytest.fixture
async def shaky(table: str, faults: Faults) -> AsyncIterator[DurableStore]:
    """The store behind the proxy."""
    store = await opened(table, faults.endpoint)
    yield store
    faults.heal()
    await store.close()


@pytest.fixture
async def steady(table: str, backend: DynamoServer) -> AsyncIterator[DurableStore]:
    """The same table, as another process without trouble sees it."""
    store = await opened(table, backend.endpoint)
    yield store
    await store.close()


async def test_an_append_that_dies_before_its_marker_leaves_the_session_as_it_was(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    stored = await filled(shaky, 2)
    faults.fail("PutItem", "not_sent")
    with pytest.raises(StoreDown):
        await shaky.append(KEY, 2, turn("t3", "a", "b"))

    assert faults.seen["BatchWriteItem"] == 3
    assert await everything(steady) == stored
    assert await steady.find_item(KEY, "t3_0") is None
    opened = await steady.open(KEY, 9)
    assert opened is not None
    assert opened.version == 2
    other = await steady.append(KEY, 2, turn("other", "x"))
    assert await everything(steady) == [*stored, other]


async def test_a_turn_that_died_before_its_marker_comes_in_when_it_is_sent_again(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    await filled(shaky, 2)
    faults.fail("PutItem", "not_sent")
    with pytest.raises(StoreDown):
        await shaky.append(KEY, 2, turn("t3", "a", "b"))
    faults.heal()

    again = await shaky.append(KEY, 2, turn("t3", "a", "b"))
    assert (await everything(steady))[2:] == [again]
    assert await steady.find_item(KEY, "t3_1") == again


@pytest.mark.parametrize("times", [1, 2])
async def test_an_append_whose_answers_are_lost_is_there_once(
    faults: Faults, shaky: DurableStore, steady: DurableStore, times: int
) -> None:
    faults.fail("PutItem", "unanswered", times)
    stored = await shaky.append(KEY, 0, turn("t1", "x"), new=session())
    faults.fail("PutItem", "unanswered", times)
    second = await shaky.append(KEY, 1, turn("t2", "y"))

    assert faults.failed["PutItem"] == 2 * times
    assert await everything(steady) == [stored, second]


async def test_a_turn_that_came_in_without_an_answer_is_returned_when_it_is_sent_again(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    stored = await filled(shaky, 1)
    faults.fail("PutItem", "unanswered")
    with pytest.raises(StoreDown):
        await shaky.append(KEY, 1, turn("t2", "x"))
    faults.heal()

    assert [one.id for one in await everything(steady)] == ["t1", "t2"]
    for expected in (1, 2):
        again = await shaky.append(KEY, expected, turn("t2", "x"))
        assert await everything(steady) == [*stored, again]


async def test_a_write_of_a_document_whose_answer_is_lost_counts_once(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    for revision in range(3):
        faults.fail("PutItem", "unanswered", 1)
        stored = await shaky.put(document("d", body={"n": revision}), revision)

    assert stored.revision == 3
    assert await steady.get("response", stored.key) == stored


async def test_batches_that_are_done_in_part_are_completed(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    faults.fail("BatchWriteItem", "in_part", 4)
    stored = await shaky.append(KEY, 0, turn("t1", "a", "b", "c", "d", "e", "f"), new=session())

    assert faults.failed["BatchWriteItem"] == 4
    assert await everything(steady) == [stored]
    assert [item.id for item in stored.items] == [f"t1_{place}" for place in range(6)]


CALLS: dict[str, tuple[str, Callable[[DurableStore], Awaitable[Any]]]] = {
    "open": ("Query", lambda store: store.open(KEY, 9)),
    "append": ("BatchWriteItem", lambda store: store.append(KEY, 1, turn("t2", "x"))),
    "update": ("UpdateItem", lambda store: store.update(session())),
    "delete_session": ("DeleteItem", lambda store: store.delete_session(KEY)),
    "get": ("GetItem", lambda store: store.get("response", Key(KEY.tenant, "d"))),
}


@pytest.mark.parametrize("how", ["throttle", "unavailable", "not_sent", "silent"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_service_that_does_not_serve_is_a_store_that_is_down_until_it_does(
    table: str, faults: Faults, call: str, how: How
) -> None:
    store = await opened(table, faults.endpoint, timeout_seconds=1.5)
    await store.append(KEY, 0, turn("t1", "x"), new=session())
    operation, make = CALLS[call]
    faults.fail(operation, how)
    with pytest.raises(StoreDown):
        await make(store)

    assert faults.failed[operation]
    faults.heal()
    await make(store)
    await store.close()


async def test_a_delete_that_was_cut_short_hides_the_session_and_goes_on_when_it_is_sent_again(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    await filled(shaky, 3)
    faults.fail("BatchWriteItem", "unavailable")
    with pytest.raises(StoreDown):
        await shaky.delete_session(KEY)

    assert await steady.open(KEY, 9) is None
    assert await everything(steady) == []
    assert await steady.sessions(KEY.tenant, limit=9) == []
    faults.heal()
    assert await shaky.delete_session(KEY)
    assert not await shaky.delete_session(KEY)


async def test_a_delete_that_was_cut_short_does_not_touch_the_next_session_of_this_id(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    await filled(shaky, 3)
    faults.fail("BatchWriteItem", "unavailable")
    with pytest.raises(StoreDown):
        await shaky.delete_session(KEY)

    await steady.create(session(user="new"))
    stored = await filled(steady, 4)
    assert await everything(steady) == stored
    opened = await steady.open(KEY, 2)
    assert opened is not None
    assert (opened.session.user, opened.turns) == ("new", tuple(stored[2:]))


async def test_a_delete_goes_on_when_its_caller_leaves(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    await filled(shaky, 3)
    faults.fail("BatchWriteItem", "held", 1)
    leaving = asyncio.ensure_future(shaky.delete_session(KEY))
    while not faults.failed["BatchWriteItem"]:
        await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    faults.release()
    await shaky.close()

    assert leaving.cancelled()
    assert not await steady.delete_session(KEY), "a delete that is not finished could go on"


@pytest.mark.parametrize("successor", [False, True])
async def test_an_append_that_a_delete_overtakes_finds_its_session_gone(
    faults: Faults, shaky: DurableStore, steady: DurableStore, successor: bool
) -> None:
    await filled(shaky, 1)
    faults.fail("PutItem", "held", 1)
    late = asyncio.ensure_future(shaky.append(KEY, 1, turn("t2", "late")))
    while not faults.failed["PutItem"]:
        await asyncio.sleep(0.01)
    assert await steady.delete_session(KEY)
    kept = await filled(steady, 3) if successor else []
    faults.release()

    with pytest.raises(SessionGone):
        await late
    assert await everything(steady) == kept
    assert await steady.find_item(KEY, "t2_0") == (kept[1] if successor else None)


async def test_of_two_who_were_both_about_to_commit_one_is_in_and_the_other_hears_it(
    faults: Faults, shaky: DurableStore, steady: DurableStore
) -> None:
    stored = await filled(shaky, 1)
    faults.fail("PutItem", "held", 1)
    late = asyncio.ensure_future(shaky.append(KEY, 1, turn("late", "x")))
    while not faults.failed["PutItem"]:
        await asyncio.sleep(0.01)
    won = await steady.append(KEY, 1, turn("won", "y"))
    faults.release()

    with pytest.raises(VersionConflict):
        await late
    assert await everything(steady) == [*stored, won]
    assert await steady.find_item(KEY, "late_0") is None


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_reader_between_two_pages_sees_no_turn_in_part_and_no_gap(
    faults: Faults, shaky: DurableStore, steady: DurableStore, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    stored = await filled(steady, 1)
    # Rows of a dead attempt at turn 2 fill the first page, behind where the rows of the turn that comes in will be.
    monkeypatch.setattr("secrets.token_hex", lambda _: "f" * 16)
    faults.fail("PutItem", "not_sent")
    with pytest.raises(StoreDown):
        await shaky.append(KEY, 1, turn("dead", *"abcdefghijklmnopqrst"))
    attempts = itertools.count()
    monkeypatch.setattr("secrets.token_hex", lambda _: f"{next(attempts):016x}")
    queries = faults.seen["Query"]
    faults.fail("Query", "held", 1, after=2 if order == "asc" else 1)
    reading = asyncio.ensure_future(shaky.turns(KEY, limit=2, order=order))
    while not faults.failed["Query"]:
        await asyncio.sleep(0.01)
        assert not reading.done(), faults.seen["Query"] - queries
    stored.append(await steady.append(KEY, 1, turn("t2", "x", "y", tokens=10)))
    stored.append(await steady.append(KEY, 2, turn("t3", "z", tokens=10)))
    faults.release()

    assert await reading in (stored[:1], stored[:2], stored) if order == "asc" else (stored[:1],)
    assert await steady.turns(KEY, limit=9, order="asc") == stored
