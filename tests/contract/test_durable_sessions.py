"""Durable stores: sessions as such, their lists, and the walls between tenants."""

from __future__ import annotations

import asyncio

import pytest

from serving.errors import VersionConflict
from serving.front.state.records import Key
from serving.front.state.stores import DurableStore
from tests.contract.values import KEY, everything, filled, session, turn

pytestmark = pytest.mark.anyio


async def test_a_created_session_comes_back_as_it_went_in(store: DurableStore) -> None:
    made = session(user="ann", metadata={"k": "v", "": "é"}, history={"turns": 3, "deep": [1]}, parent=("conv_0", 7))
    await store.create(made)

    opened = await store.open(KEY, 1)
    assert opened is not None
    assert opened.session == made


async def test_an_id_is_taken_once(store: DurableStore) -> None:
    await store.create(session(user="first"))

    with pytest.raises(VersionConflict):
        await store.create(session(user="second"))
    opened = await store.open(KEY, 1)
    assert opened is not None
    assert opened.session.user == "first"


async def test_of_many_who_create_one_id_one_wins(store: DurableStore) -> None:
    outcomes = await asyncio.gather(
        *(store.create(session(user=f"u{number}")) for number in range(10)), return_exceptions=True
    )

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 9


async def test_an_update_replaces_metadata_history_and_user_and_nothing_else(store: DurableStore) -> None:
    made = session(user="ann", metadata={"a": "1"}, history={"turns": 1}, parent=("conv_0", 7))
    stored = await store.append(KEY, 0, turn("t1", "x"), new=made)
    changed = made._replace(user="bob", metadata={"b": "2"}, history=None)

    assert await store.update(changed)
    opened = await store.open(KEY, 1)
    assert opened is not None
    assert (opened.session, opened.turns) == (changed, (stored,))


async def test_an_unknown_session_is_not_updated_into_being(store: DurableStore) -> None:
    assert not await store.update(session())
    assert await store.open(KEY, 1) is None


async def test_sessions_come_by_id_in_code_point_order_and_go_on_after_a_cursor(store: DurableStore) -> None:
    ids = ["A", "Z", "_", "a", "a b", "aa", "b", "z", "é", "\uffee", "\U0001f600"]
    for id in reversed(ids):
        await store.create(session(id))

    assert [one.key.id for one in await store.sessions(KEY.tenant, limit=100)] == ids
    assert [one.key.id for one in await store.sessions(KEY.tenant, limit=2)] == ids[:2]
    assert [one.key.id for one in await store.sessions(KEY.tenant, after="aa", limit=3)] == ids[6:9]
    assert await store.sessions(KEY.tenant, after=ids[-1], limit=3) == []


async def test_a_cursor_need_not_exist(store: DurableStore) -> None:
    for id in ("a", "c"):
        await store.create(session(id))

    assert [one.key.id for one in await store.sessions(KEY.tenant, after="b", limit=3)] == ["c"]


async def test_sessions_of_one_user(store: DurableStore) -> None:
    for number in range(6):
        await store.create(session(f"s{number}", user=("ann", "bob", None)[number % 3]))

    assert [one.key.id for one in await store.sessions(KEY.tenant, user="bob", limit=9)] == ["s1", "s4"]
    assert [one.key.id for one in await store.sessions(KEY.tenant, user="ann", after="s0", limit=9)] == ["s3"]
    assert await store.sessions(KEY.tenant, user="cid", limit=9) == []


async def test_a_session_moves_to_the_list_of_its_new_user(store: DurableStore) -> None:
    await store.create(session(user="ann"))
    await store.update(session(user="bob"))

    assert await store.sessions(KEY.tenant, user="ann", limit=9) == []
    assert await store.sessions(KEY.tenant, user="bob", limit=9) == [session(user="bob")]


async def test_one_id_in_two_tenants_is_two_sessions(store: DurableStore) -> None:
    ours, theirs = session(user="u"), session(tenant="evil", user="u")
    stored = await store.append(ours.key, 0, turn("t1", "ours"), new=ours)
    await store.append(theirs.key, 0, turn("t1", "theirs"), new=theirs)
    await store.delete_session(theirs.key)

    assert await everything(store) == [stored]
    assert await store.sessions("acme", user="u", limit=9) == [ours]
    assert await store.sessions("evil", user="u", limit=9) == []


async def test_an_id_of_another_tenant_is_an_unknown_id(store: DurableStore) -> None:
    await filled(store, 2)
    foreign = Key("evil", KEY.id)

    assert await store.open(foreign, 9) is None
    assert await everything(store, foreign) == []
    assert await store.find_item(foreign, "t1_0") is None
    assert not await store.update(session(tenant="evil"))
    assert not await store.delete_items(foreign, 1)
    assert not await store.delete_session(foreign)
    assert len(await everything(store)) == 2


@pytest.mark.parametrize("separator", ["/", "#", ":", "|", "%", "{}", " ", "\x1f"])
async def test_no_tenant_can_be_reached_through_an_id_that_looks_like_a_key(
    store: DurableStore, separator: str
) -> None:
    keys = [Key("a", f"b{separator}c"), Key(f"a{separator}b", "c"), Key("a", "b")]
    for number, key in enumerate(keys):
        await store.append(key, 0, turn(f"t{number}", "x"), new=session(key.id, tenant=key.tenant))

    assert [[one.id for one in await everything(store, key)] for key in keys] == [["t0"], ["t1"], ["t2"]]
    assert [one.key for one in await store.sessions("a", limit=9)] == [keys[2], keys[0]]
