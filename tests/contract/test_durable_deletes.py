"""Durable stores: items and sessions that go, and what stays of them."""

from __future__ import annotations

import asyncio

import pytest

from serving.front.state.records import Key
from serving.front.state.stores import DurableStore
from tests.contract.values import KEY, append_until_in, everything, filled, session, turn

pytestmark = pytest.mark.anyio


async def test_deleted_items_are_gone_and_the_others_stay_in_order(store: DurableStore) -> None:
    stored = await store.append(KEY, 0, turn("t1", "a", "b", "c", "d"), new=session())

    assert await store.delete_items(KEY, 1, ("t1_2", "t1_0"))
    (left,) = await everything(store)
    assert left.items == (stored.items[1], stored.items[3])
    assert await store.find_item(KEY, "t1_2") is None
    assert await store.find_item(KEY, "t1_3") == left


async def test_a_turn_whose_items_are_all_deleted_stays_empty_and_keeps_its_place(store: DurableStore) -> None:
    stored = await filled(store, 3)

    assert await store.delete_items(KEY, 2)
    found = await everything(store)
    assert [one.number for one in found] == [1, 2, 3]
    assert found[1].items == ()
    assert (found[0], found[2]) == (stored[0], stored[2])
    assert (await store.append(KEY, 3, turn("t4", "x"))).tokens_before == 30


async def test_the_last_turn_counts_as_the_version_when_it_is_empty(store: DurableStore) -> None:
    await filled(store, 2)
    await store.delete_items(KEY, 2)

    opened = await store.open(KEY, 1)
    assert opened is not None
    assert opened.version == 2
    assert (await store.append(KEY, 2, turn("t3", "x"))).number == 3


async def test_there_is_nothing_to_delete_twice(store: DurableStore) -> None:
    await store.append(KEY, 0, turn("t1", "a", "b"), new=session())

    assert await store.delete_items(KEY, 1, ("t1_0", "unknown"))
    assert not await store.delete_items(KEY, 1, ("t1_0",))
    assert not await store.delete_items(KEY, 1, ())
    assert await store.delete_items(KEY, 1)
    assert not await store.delete_items(KEY, 1)


async def test_items_of_a_turn_or_session_that_is_not_there(store: DurableStore) -> None:
    await filled(store, 1)

    assert not await store.delete_items(KEY, 2)
    assert not await store.delete_items(KEY, 1, ("t2_0",))
    assert not await store.delete_items(Key(KEY.tenant, "conv_2"), 1)


async def test_a_deleted_turn_is_not_added_again_by_its_id(store: DurableStore) -> None:
    await filled(store, 1)
    await store.delete_items(KEY, 1)

    again = await store.append(KEY, 0, turn("t1", "text 1", tokens=10))
    assert (again.number, again.items) == (1, ())


async def test_a_deleted_session_leaves_nothing(store: DurableStore) -> None:
    await filled(store, 3)

    assert await store.delete_session(KEY)
    assert await store.open(KEY, 10) is None
    assert await everything(store) == []
    assert await store.find_item(KEY, "t1_0") is None
    assert await store.sessions(KEY.tenant, limit=10) == []
    assert not await store.delete_session(KEY)


async def test_a_later_session_of_the_same_id_starts_anew(store: DurableStore) -> None:
    await filled(store, 3)
    await store.delete_session(KEY)

    again = await store.append(KEY, 0, turn("t2", "new text", tokens=5), new=session(user="new"))
    assert (again.number, again.tokens_before, again.items) == (1, 0, turn("t2", "new text").items)
    assert await everything(store) == [again]
    assert await store.find_item(KEY, "t1_0") is None
    opened = await store.open(KEY, 10)
    assert opened is not None
    assert (opened.session.user, opened.version) == ("new", 1)


async def test_an_append_that_races_with_the_delete_comes_before_or_after_it(store: DurableStore) -> None:
    await filled(store, 5)
    clients = [append_until_in(store, KEY, turn(f"r{number}", "x")) for number in range(12)]
    await asyncio.gather(*clients[:6], store.delete_session(KEY), *clients[6:])

    left = await everything(store)
    assert [one.number for one in left] == list(range(1, len(left) + 1))
    assert all(len(one.items) == 1 for one in left)
    opened = await store.open(KEY, 1)
    assert (opened.version if opened else 0) == len(left)
