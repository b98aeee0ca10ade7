"""Durable stores: contents and ids of every size and script come back as they went in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.front.state.records import Item, Key, Turn
from serving.front.state.stores import DurableStore
from tests.contract.values import AT, KEY, document, everything, filled, session, turn

pytestmark = pytest.mark.anyio

# Whatever a JSON body can hold once parsed; NUL is legal there, a lone surrogate is not.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=5)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ODD_IDS = [
    "a/b/../c", "/", "#", "a#b", "%", "%2F", "a%b_c", "_", "?x=1&y=2", "{tag}", "it's", '"', "\\", "\\x00", "é",
    "e\u0301", "\U0001f600" * 50, "\u202eabc", "\ufeff", "x" * 200, "é" * 200, " ", "a\nb", "null", "0", "-1", "*",
]  # fmt: skip


@few
@given(contents=st.lists(OBJECTS, min_size=1, max_size=4))
async def test_any_json_comes_back_from_a_turn(store: DurableStore, contents: list[dict[str, Any]]) -> None:
    key = Key(uuid.uuid4().hex, "s")
    items = tuple(Item(str(place), content) for place, content in enumerate(contents))
    stored = await store.append(key, 0, Turn("t", AT, "response", items), new=session("s", tenant=key.tenant))

    assert stored.items == items
    assert (await everything(store, key))[0].items == items


@few
@given(body=OBJECTS, metadata=st.dictionaries(TEXTS, TEXTS, max_size=3), history=st.none() | OBJECTS)
async def test_any_json_comes_back_from_documents_and_sessions(
    store: DurableStore, body: dict[str, Any], metadata: dict[str, str], history: dict[str, Any] | None
) -> None:
    tenant = uuid.uuid4().hex
    made = session("s", tenant=tenant, metadata=metadata, history=history)
    await store.create(made)
    stored = await store.put(document("d", tenant=tenant, body=body))

    opened = await store.open(made.key, 1)
    assert opened is not None
    assert opened.session == made
    assert await store.get("response", stored.key) == document("d", tenant=tenant, body=body, revision=1)


async def ids_come_back(store: DurableStore, id: str) -> None:
    key = Key(uuid.uuid4().hex + id[:100], id)
    made = session(id, tenant=key.tenant, user=id)
    stored = await store.append(key, 0, Turn(id, AT, "chat", (Item(id, {"id": id}),)), new=made)
    written = await store.put(document(id, tenant=key.tenant, user=id))

    assert await store.append(key, 0, stored) == stored
    assert await everything(store, key) == [stored]
    assert await store.find_item(key, id) == stored
    assert await store.sessions(key.tenant, user=id, limit=9) == [made]
    assert await store.get("response", Key(key.tenant, id)) == written
    assert await store.delete_items(key, 1, (id,))
    assert await store.delete_session(key)
    assert await store.delete("response", Key(key.tenant, id))


@pytest.mark.parametrize("id", ODD_IDS, ids=ascii)
async def test_odd_ids(store: DurableStore, id: str) -> None:
    await ids_come_back(store, id)


@few
@given(id=IDS)
async def test_any_id(store: DurableStore, id: str) -> None:
    await ids_come_back(store, id)


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "\U0001f600" * 250_000, '\x00\\"\n' * 150_000], ids=["ascii", "emoji", "escapes"]
)
async def test_a_message_of_a_megabyte(store: DurableStore, text: str) -> None:
    stored = await store.append(KEY, 0, turn("t1", "before", text, "after", tokens=5), new=session())
    after = await store.append(KEY, 1, turn("t2", "next"))

    assert stored.items[1].content["content"] == text
    assert await everything(store) == [stored, after]
    assert await store.find_item(KEY, "t1_1") == stored
    assert await store.delete_items(KEY, 1, ("t1_1",))
    assert [item.id for item in (await everything(store))[0].items] == ["t1_0", "t1_2"]


async def test_a_document_of_a_megabyte_and_one_that_shrinks(store: DurableStore) -> None:
    big = await store.put(document("d", body={"text": "\U0001f600" * 250_000}))
    assert await store.get("response", big.key) == big

    small = await store.put(document("d", body={"text": "x"}), expected=1)
    assert await store.get("response", big.key) == small
    assert await store.delete("response", big.key)
    assert await store.get("response", big.key) is None


async def test_a_turn_of_two_thousand_items(store: DurableStore) -> None:
    stored = await store.append(KEY, 0, turn("t1", *(f"text {number}" for number in range(2000))), new=session())

    assert len(stored.items) == 2000
    assert await everything(store) == [stored]
    assert await store.find_item(KEY, "t1_1999") == stored
    assert await store.delete_items(KEY, 1)
    assert (await everything(store))[0].items == ()


async def test_a_session_of_two_thousand_turns_or_as_many_as_its_server_can_bear(
    backend: Any, store: DurableStore
) -> None:
    count = getattr(backend, "most_turns", 2000)
    stored = await filled(store, count)
    assert (stored[-1].number, stored[-1].tokens_before) == (count, 10 * (count - 1))

    opened = await store.open(KEY, 64)
    assert opened is not None
    assert opened.turns == tuple(stored[-64:])
    assert await everything(store) == stored
    before = count * 3 // 4
    assert (
        await store.turns(KEY, before=before, limit=100, order="desc")
        == stored[max(before - 101, 0) : before - 1][::-1]
    )
    assert await store.find_item(KEY, "t77_0") == stored[76]
    assert await store.delete_session(KEY)
    assert await everything(store) == []
