"""Durable stores: documents, their revisions and their lists."""

from __future__ import annotations

import asyncio

import pytest

from serving.errors import VersionConflict
from serving.front.state.records import KINDS, Document, Key
from serving.front.state.stores import DurableStore, Page
from tests.contract.values import AT, KEY, document

pytestmark = pytest.mark.anyio

ID = Key(KEY.tenant, "resp_1")


async def ids(store: DurableStore, page: Page) -> list[str]:
    return [one.key.id for one in await store.documents("response", KEY.tenant, page)]


async def test_a_document_comes_back_as_it_went_in_with_its_revision(store: DurableStore) -> None:
    stored = await store.put(document("resp_1", user="ann", body={"deep": [{"a": None}, 1.5, "é"], "n": 2**53}))

    assert stored.revision == 1
    assert await store.get("response", ID) == stored
    assert stored == document("resp_1", user="ann", body={"deep": [{"a": None}, 1.5, "é"], "n": 2**53}, revision=1)


async def test_an_unknown_document_is_none_and_not_deleted(store: DurableStore) -> None:
    assert await store.get("response", ID) is None
    assert not await store.delete("response", ID)


async def test_each_write_is_a_revision(store: DurableStore) -> None:
    stored = await store.put(document("resp_1", body={"n": 0}))
    for number in range(1, 4):
        stored = await store.put(stored._replace(body={"n": number}), expected=stored.revision)

    assert stored.revision == 4
    found = await store.get("response", ID)
    assert found is not None
    assert (found.body, found.revision) == ({"n": 3}, 4)


async def test_a_write_replaces_the_whole_document_also_in_the_lists(store: DurableStore) -> None:
    await store.put(document("resp_1", user="ann", created_at=AT))
    await store.put(document("resp_1", user="bob", created_at=AT + 5, body={"new": 1}), expected=1)
    await store.put(document("resp_2", user="bob", created_at=AT + 1))

    found = await store.get("response", ID)
    assert found == document("resp_1", user="bob", created_at=AT + 5, body={"new": 1}, revision=2)
    assert await ids(store, Page(9)) == ["resp_2", "resp_1"]
    assert await ids(store, Page(9, user="ann")) == []


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_another_revision_is_a_conflict_and_changes_nothing(store: DurableStore, expected: int) -> None:
    await store.put(document("resp_1"))
    stored = await store.put(document("resp_1"), expected=1)

    with pytest.raises(VersionConflict):
        await store.put(document("resp_1", body={"late": True}), expected=expected)
    assert await store.get("response", ID) == stored


async def test_a_revision_of_a_document_that_is_not_there_is_a_conflict(store: DurableStore) -> None:
    with pytest.raises(VersionConflict):
        await store.put(document("resp_1"), expected=1)
    assert await store.get("response", ID) is None


async def test_of_many_first_writes_one_wins(store: DurableStore) -> None:
    writes = (store.put(document("resp_1", body={"by": number})) for number in range(10))
    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    (won,) = [outcome for outcome in outcomes if isinstance(outcome, Document)]
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 9
    assert await store.get("response", ID) == won


async def test_no_counted_write_is_lost(store: DurableStore) -> None:
    await store.put(document("resp_1", body={"n": 0}))

    async def count() -> None:
        while True:
            found = await store.get("response", ID)
            assert found is not None
            try:
                await store.put(found._replace(body={"n": found.body["n"] + 1}), expected=found.revision)
            except VersionConflict:
                continue
            return

    await asyncio.gather(*(count() for _ in range(8)))
    found = await store.get("response", ID)
    assert found is not None
    assert (found.body, found.revision) == ({"n": 8}, 9)


async def test_a_deleted_document_is_gone_and_its_id_free(store: DurableStore) -> None:
    await store.put(document("resp_1", user="ann"))

    assert await store.delete("response", ID)
    assert await store.get("response", ID) is None
    assert await ids(store, Page(9)) == []
    assert await ids(store, Page(9, user="ann")) == []
    assert not await store.delete("response", ID)
    assert (await store.put(document("resp_1"))).revision == 1


async def test_one_id_in_two_kinds_is_two_documents(store: DurableStore) -> None:
    for kind in KINDS:
        await store.put(document("same", kind=kind, body={"kind": kind}))
    await store.delete("summary", Key(KEY.tenant, "same"))

    found = {kind: await store.get(kind, Key(KEY.tenant, "same")) for kind in KINDS}
    assert {kind: one and one.body for kind, one in found.items()} == {
        **{kind: {"kind": kind} for kind in KINDS},
        "summary": None,
    }


async def test_one_id_in_two_tenants_is_two_documents(store: DurableStore) -> None:
    ours = await store.put(document("same", body={"whose": "ours"}))
    await store.put(document("same", tenant="evil", body={"whose": "theirs"}))

    assert await store.delete("response", Key("evil", "same"))
    assert not await store.delete("response", Key("evil", "same"))
    assert await store.get("response", Key("evil", "same")) is None
    assert await store.get("response", ours.key) == ours
    assert await store.documents("response", "evil", Page(9)) == []


async def test_documents_come_by_time_then_id_in_both_orders(store: DurableStore) -> None:
    times = {"d": AT, "c": AT + 1, "b": AT + 1, "a": AT + 2.5}
    for id, created_at in times.items():
        await store.put(document(id, created_at=created_at))

    assert await ids(store, Page(9)) == ["d", "b", "c", "a"]
    assert await ids(store, Page(9, order="desc")) == ["a", "c", "b", "d"]
    assert await ids(store, Page(2)) == ["d", "b"]
    assert await ids(store, Page(9, after=(AT + 1, "b"))) == ["c", "a"]
    assert await ids(store, Page(9, after=(AT + 1, "b"), order="desc")) == ["d"]
    assert await ids(store, Page(1, after=(AT, "d"))) == ["b"]


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(store: DurableStore) -> None:
    for number in range(11):
        await store.put(document(f"r{number:02}", created_at=AT + number // 3, user="ann" if number % 2 else "bob"))
    seen: list[str] = []
    after = None
    while found := await store.documents("response", KEY.tenant, Page(2, after=after, user="ann")):
        seen += [one.key.id for one in found]
        after = (found[-1].created_at, found[-1].key.id)

    assert seen == ["r01", "r03", "r05", "r07", "r09"]


async def test_a_page_goes_on_after_a_document_that_was_deleted(store: DurableStore) -> None:
    for id in ("a", "b", "c"):
        await store.put(document(id))
    await store.delete("response", Key(KEY.tenant, "b"))

    assert await ids(store, Page(9, after=(AT, "b"))) == ["c"]


async def test_a_list_holds_one_kind_and_one_tenant(store: DurableStore) -> None:
    await store.put(document("a"))
    await store.put(document("b", kind="chat_completion"))
    await store.put(document("c", tenant="evil"))

    assert await ids(store, Page(9)) == ["a"]
    assert [one.key.id for one in await store.documents("chat_completion", KEY.tenant, Page(9))] == ["b"]
