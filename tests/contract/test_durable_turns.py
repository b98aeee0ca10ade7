"""Durable stores: what an append stores, and how turns are read back."""

from __future__ import annotations

import pytest

from serving.errors import SessionGone, VersionConflict
from serving.front.state.records import Item, Key, Turn
from serving.front.state.stores import DurableStore
from tests.contract.conftest import Place
from tests.contract.values import KEY, everything, filled, session, turn

pytestmark = pytest.mark.anyio


async def test_turns_are_numbered_from_one_and_know_the_tokens_before_them(store: DurableStore) -> None:
    await store.create(session())
    stored = [await store.append(KEY, number, turn(f"t{number}", "x", tokens=10 + number)) for number in range(4)]

    assert [(one.number, one.tokens_before) for one in stored] == [(1, 0), (2, 10), (3, 21), (4, 33)]
    assert await everything(store) == stored


async def test_a_turn_comes_back_as_it_went_in(store: DurableStore) -> None:
    items = tuple(Item(f"item {place}", {"type": "message", "nested": [{"place": place}]}) for place in (2, 1, 3))
    added = Turn("t", 1_750_000_001.25, "response", items, "incomplete", tokens=77)
    stored = await store.append(KEY, 0, added, new=session())

    assert stored == added._replace(number=1, tokens_before=0)
    assert await everything(store) == [stored]


async def test_open_gives_the_session_and_its_newest_turns_oldest_first(store: DurableStore) -> None:
    stored = await filled(store, 5)
    opened = await store.open(KEY, 2)

    assert opened is not None
    assert opened.session == session()
    assert opened.turns == tuple(stored[3:])
    assert opened.version == 5


async def test_a_limit_beyond_the_first_turn_gives_all(store: DurableStore) -> None:
    stored = await filled(store, 3)
    opened = await store.open(KEY, 100)

    assert opened is not None
    assert opened.turns == tuple(stored)


async def test_a_session_without_turns_is_version_0(store: DurableStore) -> None:
    await store.create(session())
    opened = await store.open(KEY, 10)

    assert opened is not None
    assert (opened.turns, opened.version) == ((), 0)


async def test_an_unknown_session_is_none_and_has_no_turns(store: DurableStore) -> None:
    assert await store.open(KEY, 10) is None
    assert await everything(store) == []


@pytest.mark.parametrize(
    ("after", "before", "limit", "numbers"),
    [(0, None, 3, [1, 2, 3]), (2, None, 100, [3, 4, 5, 6]), (0, 3, 100, [1, 2]), (2, 5, 1, [3]), (6, None, 9, []),
     (3, 4, 9, [])],
)  # fmt: skip
async def test_turns_ascending(
    store: DurableStore, after: int, before: int | None, limit: int, numbers: list[int]
) -> None:
    await filled(store, 6)

    found = await store.turns(KEY, after=after, before=before, limit=limit, order="asc")
    assert [one.number for one in found] == numbers


@pytest.mark.parametrize(
    ("after", "before", "limit", "numbers"),
    [(0, None, 2, [6, 5]), (4, None, 100, [6, 5]), (0, 3, 100, [2, 1]), (2, 5, 1, [4]), (0, 1, 9, [])],
)
async def test_turns_descending(
    store: DurableStore, after: int, before: int | None, limit: int, numbers: list[int]
) -> None:
    await filled(store, 6)

    found = await store.turns(KEY, after=after, before=before, limit=limit, order="desc")
    assert [one.number for one in found] == numbers


async def test_an_append_makes_the_session_where_there_is_none(store: DurableStore) -> None:
    new = session(user="u", metadata={"a": "b"}, history={"strategy": "window"}, parent=("conv_0", 3))
    await store.append(KEY, 0, turn("t1", "x"), new=new)

    opened = await store.open(KEY, 1)
    assert opened is not None
    assert opened.session == new


async def test_an_append_leaves_a_session_that_is_there_as_it_is(store: DurableStore) -> None:
    await store.create(session(user="first"))
    await store.append(KEY, 0, turn("t1", "x"), new=session(user="second"))

    opened = await store.open(KEY, 1)
    assert opened is not None
    assert opened.session.user == "first"


async def test_an_append_to_an_unknown_session_is_refused(store: DurableStore) -> None:
    with pytest.raises(SessionGone):
        await store.append(KEY, 0, turn("t1", "x"))
    assert await store.open(KEY, 1) is None


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_another_version_is_a_conflict_and_changes_nothing(store: DurableStore, expected: int) -> None:
    stored = await filled(store, 2)

    with pytest.raises(VersionConflict):
        await store.append(KEY, expected, turn("late", "x"), new=session())
    assert await everything(store) == stored
    assert await store.find_item(KEY, "late_0") is None


async def test_a_version_that_a_new_session_cannot_have_makes_none(store: DurableStore) -> None:
    with pytest.raises(VersionConflict):
        await store.append(KEY, 3, turn("t4", "x"), new=session())
    assert await store.open(KEY, 1) is None


async def test_a_turn_that_is_there_is_returned_as_it_is_whatever_is_expected(store: DurableStore) -> None:
    stored = await filled(store, 3)

    for expected in (0, 1, 3, 7):
        assert await store.append(KEY, expected, turn("t2", "something else", tokens=1)) == stored[1]
    assert await everything(store) == stored


async def test_a_turn_without_items_counts(store: DurableStore) -> None:
    stored = [await store.append(KEY, number, turn(f"t{number}"), new=session()) for number in range(2)]

    assert await everything(store) == stored
    assert [one.number for one in stored] == [1, 2]


async def test_find_item_gives_the_turn_that_holds_it(store: DurableStore) -> None:
    first = await store.append(KEY, 0, turn("t1", "a", "b"), new=session())
    second = await store.append(KEY, 1, turn("t2", "c"))

    assert await store.find_item(KEY, "t1_1") == first
    assert await store.find_item(KEY, "t2_0") == second
    assert await store.find_item(KEY, "t3_0") is None
    assert await store.find_item(Key(KEY.tenant, "conv_2"), "t1_1") is None


async def test_no_item_is_found_by_a_part_of_its_id_or_by_what_may_lie_between_two(store: DurableStore) -> None:
    items = tuple(Item(id, {}) for id in ("abc", "x", 'q"'))
    await store.append(KEY, 0, turn("t1")._replace(items=items), new=session())

    assert [await store.find_item(KEY, id) for id in ("ab", "bc", ",", '","', "", "[", "%", "q", '"')] == [None] * 9


async def test_what_one_store_object_wrote_another_reads_at_once(place: Place) -> None:
    one, other = await place.open(), await place.open()

    for number in range(10):
        stored = await one.append(KEY, number, turn(f"t{number}", "x"), new=session())
        opened = await other.open(KEY, 1)
        assert opened is not None
        assert opened.turns == (stored,)


async def test_turns_outlive_the_store_object(place: Place) -> None:
    first = await place.open()
    stored = await filled(first, 3)
    await first.close()

    assert await everything(await place.open()) == stored
