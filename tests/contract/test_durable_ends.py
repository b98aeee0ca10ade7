"""Durable stores: calls that are cancelled, stores that are closed, and any sequence of calls against a model."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import SessionGone, StoreDown, VersionConflict
from serving.front.state.records import Key, Turn
from serving.front.state.stores import DurableStore, Page
from tests.contract.conftest import Place
from tests.contract.values import KEY, append_until_in, document, everything, session, turn

pytestmark = pytest.mark.anyio

CALLS: dict[str, Callable[[DurableStore], Awaitable[object]]] = {
    "create": lambda store: store.create(session("other")),
    "open": lambda store: store.open(KEY, 9),
    "turns": lambda store: store.turns(KEY, limit=9, order="asc"),
    "append": lambda store: store.append(KEY, 1, turn("t2", "x")),
    "update": lambda store: store.update(session(user="ann")),
    "delete_items": lambda store: store.delete_items(KEY, 1),
    "delete_session": lambda store: store.delete_session(KEY),
    "find_item": lambda store: store.find_item(KEY, "t1_0"),
    "sessions": lambda store: store.sessions(KEY.tenant, limit=9),
    "put": lambda store: store.put(document("d")),
    "get": lambda store: store.get("response", Key(KEY.tenant, "d")),
    "delete": lambda store: store.delete("response", Key(KEY.tenant, "d")),
    "documents": lambda store: store.documents("response", KEY.tenant, Page(9)),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_closed_store_is_down(store: DurableStore, call: str) -> None:
    await store.append(KEY, 0, turn("t1", "x"), new=session())
    await store.close()
    await store.close()

    with pytest.raises(StoreDown):
        await CALLS[call](store)


async def test_closing_finishes_what_is_under_way(place: Place) -> None:
    store = await place.open()
    under_way = [
        asyncio.ensure_future(store.append(Key(KEY.tenant, f"s{number}"), 0, turn("t", "x"), new=session(f"s{number}")))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    await store.close()

    outcomes = await asyncio.gather(*under_way, return_exceptions=True)
    assert all(isinstance(outcome, Turn | StoreDown) for outcome in outcomes), outcomes
    kept = {one.key.id for one in await (await place.open()).sessions(KEY.tenant, limit=99)}
    assert {f"s{number}" for number, outcome in enumerate(outcomes) if isinstance(outcome, Turn)} <= kept


@pytest.mark.parametrize("delay_seconds", [0, 0.0003, 0.001, 0.003, 0.01])
@pytest.mark.parametrize("call", CALLS)
async def test_a_cancelled_call_leaves_the_store_usable(store: DurableStore, call: str, delay_seconds: float) -> None:
    await store.append(KEY, 0, turn("t1", "x"), new=session())
    calls = [asyncio.ensure_future(CALLS[call](store)) for _ in range(5)]
    await asyncio.sleep(delay_seconds)
    for one in calls:
        one.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert not any(isinstance(outcome, StoreDown) for outcome in outcomes)
    await append_until_in(store, KEY, turn("later", "y"))
    assert [one.id for one in await everything(store)].count("later") == 1


async def test_a_turn_whose_append_was_cancelled_is_there_once_after_it_is_sent_again(store: DurableStore) -> None:
    for number in range(30):
        sent = asyncio.ensure_future(store.append(KEY, number, turn(f"t{number}", "x"), new=session()))
        await asyncio.sleep(0.0002 * (number % 10))
        sent.cancel()
        await asyncio.gather(sent, return_exceptions=True)
        assert (await store.append(KEY, number, turn(f"t{number}", "x"), new=session())).number == number + 1

    assert [one.id for one in await everything(store)] == [f"t{number}" for number in range(30)]


TURN_IDS = st.sampled_from(["a", "b", "c", "d", "e"])
STEPS = st.lists(
    st.tuples(st.just("append"), TURN_IDS, st.sampled_from([-1, 0, 0, 0, 0, 1]))
    | st.tuples(st.just("append new"), TURN_IDS, st.sampled_from([-1, 0, 0, 0, 0, 1]))
    | st.tuples(st.just("delete items"), st.integers(1, 4), st.sampled_from([None, (0,), (0, 1), (5,)]))
    | st.tuples(st.just("delete session"), st.none(), st.none()),
    min_size=1, max_size=14,
)  # fmt: skip


class Model:
    """One session as the contract has it: a list of turns, or None."""

    def __init__(self) -> None:
        self.turns: list[Turn] | None = None

    def append(self, expected: int, added: Turn, new: bool) -> Turn | type[Exception]:
        if self.turns is None and not new:
            return SessionGone
        turns = self.turns or []
        for one in turns:
            if one.id == added.id:
                return one
        if expected != len(turns):
            return VersionConflict
        stored = added._replace(number=expected + 1, tokens_before=sum(one.tokens for one in turns))
        self.turns = [*turns, stored]
        return stored

    def delete_items(self, number: int, ids: tuple[str, ...] | None) -> bool:
        if not self.turns or number > len(self.turns):
            return False
        before = self.turns[number - 1]
        items = tuple(item for item in before.items if ids is not None and item.id not in ids)
        self.turns[number - 1] = before._replace(items=items)
        return items != before.items


async def outcome_of(call: Awaitable[object]) -> object:
    try:
        return await call
    except (SessionGone, VersionConflict) as error:
        return type(error)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_any_sequence_of_calls_does_what_a_list_of_turns_would(store: DurableStore, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    key, model = Key(uuid.uuid4().hex, "s"), Model()
    for step, which, how in steps:
        if step.startswith("append"):
            new = session("s", tenant=key.tenant) if step == "append new" else None
            expected, added = max(0, len(model.turns or []) + how), turn(which, "x", "y", tokens=3)
            said = await outcome_of(store.append(key, expected, added, new=new))
            assert said == model.append(expected, added, new is not None)
        elif step == "delete items":
            held = (model.turns or [])[which - 1 : which]
            ids = None if how is None else tuple(f"{held[0].id if held else 'none'}_{place}" for place in how)
            assert await store.delete_items(key, which, ids) == model.delete_items(which, ids)
        else:
            assert await store.delete_session(key) == (model.turns is not None)
            model.turns = None
        assert await everything(store, key) == (model.turns or [])
        opened = await store.open(key, 2)
        assert (opened and opened.turns) == (None if model.turns is None else tuple(model.turns[-2:]))
