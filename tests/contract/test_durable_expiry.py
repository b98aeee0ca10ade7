"""Durable stores: what is older than it may be is never returned, deleted or not."""

from __future__ import annotations

import pytest

from serving.errors import SessionGone, VersionConflict
from serving.front.state.records import Key
from serving.front.state.stores import DurableStore, Page
from tests.contract.conftest import RETENTION_SECONDS, Place
from tests.contract.values import KEY, document, everything, filled, session, turn

pytestmark = pytest.mark.anyio

ID = Key(KEY.tenant, "resp_1")
# A store may keep whole seconds.
MARGIN_SECONDS = 2


async def test_a_session_is_there_until_its_retention_is_over_and_then_as_if_it_never_was(
    place: Place, store: DurableStore
) -> None:
    stored = await filled(store, 3)
    place.clock.seconds += RETENTION_SECONDS - MARGIN_SECONDS
    assert await everything(store) == stored

    place.clock.seconds += 2 * MARGIN_SECONDS
    assert await store.open(KEY, 9) is None
    assert await everything(store) == []
    assert await store.find_item(KEY, "t1_0") is None
    assert await store.sessions(KEY.tenant, limit=9) == []
    assert not await store.update(session())
    assert not await store.delete_items(KEY, 1)
    assert not await store.delete_session(KEY)
    with pytest.raises(SessionGone):
        await store.append(KEY, 3, turn("t4", "x"))


async def test_a_session_without_turns_expires(place: Place, store: DurableStore) -> None:
    await store.create(session(user="ann"))
    place.clock.seconds += RETENTION_SECONDS + MARGIN_SECONDS

    assert await store.open(KEY, 9) is None
    assert await store.sessions(KEY.tenant, user="ann", limit=9) == []


async def test_the_id_of_an_expired_session_is_free(place: Place, store: DurableStore) -> None:
    await filled(store, 3)
    place.clock.seconds += RETENTION_SECONDS + MARGIN_SECONDS

    await store.create(session(user="new"))
    again = await store.append(KEY, 0, turn("t2", "new", tokens=1))
    assert (again.number, again.tokens_before) == (1, 0)
    assert await everything(store) == [again]


async def test_an_append_starts_an_expired_session_anew(place: Place, store: DurableStore) -> None:
    await filled(store, 3)
    place.clock.seconds += RETENTION_SECONDS + MARGIN_SECONDS

    with pytest.raises(VersionConflict):
        await store.append(KEY, 3, turn("t4", "x"), new=session())
    again = await store.append(KEY, 0, turn("t1", "new", tokens=1), new=session(user="new"))
    assert (again.number, again.items) == (1, turn("t1", "new").items)
    opened = await store.open(KEY, 9)
    assert opened is not None
    assert (opened.session.user, opened.turns) == ("new", (again,))


async def test_an_append_extends_the_life_of_the_session_and_not_that_of_older_turns(
    place: Place, store: DurableStore
) -> None:
    await filled(store, 2)
    place.clock.seconds += RETENTION_SECONDS / 2
    third = await store.append(KEY, 2, turn("t3", "x", tokens=10))
    place.clock.seconds += RETENTION_SECONDS / 2 + MARGIN_SECONDS

    assert await everything(store) == [third]
    assert await store.find_item(KEY, "t1_0") is None
    opened = await store.open(KEY, 9)
    assert opened is not None
    assert (opened.turns, opened.version) == ((third,), 3)
    fourth = await store.append(KEY, 3, turn("t4", "x"))
    assert (fourth.number, fourth.tokens_before) == (4, 30)


async def test_a_document_expires_after_the_retention_or_its_own_time(place: Place, store: DurableStore) -> None:
    await store.put(document("long"))
    await store.put(document("resp_1", user="ann", ttl_seconds=100))
    place.clock.seconds += 100 - MARGIN_SECONDS
    assert await store.get("response", ID) is not None

    place.clock.seconds += 2 * MARGIN_SECONDS
    assert await store.get("response", ID) is None
    assert not await store.delete("response", ID)
    assert await store.documents("response", KEY.tenant, Page(9, user="ann")) == []
    assert [one.key.id for one in await store.documents("response", KEY.tenant, Page(9))] == ["long"]
    place.clock.seconds += RETENTION_SECONDS - 100
    assert await store.get("response", Key(KEY.tenant, "long")) is None


async def test_the_id_of_an_expired_document_is_free_and_its_revision_gone(place: Place, store: DurableStore) -> None:
    await store.put(document("resp_1", ttl_seconds=100))
    place.clock.seconds += 100 + MARGIN_SECONDS

    with pytest.raises(VersionConflict):
        await store.put(document("resp_1"), expected=1)
    assert (await store.put(document("resp_1", body={"new": 1}))).revision == 1
    found = await store.get("response", ID)
    assert found is not None
    assert found.body == {"new": 1}


async def test_each_write_counts_the_time_of_a_document_anew(place: Place, store: DurableStore) -> None:
    await store.put(document("resp_1", ttl_seconds=100))
    place.clock.seconds += 90
    await store.put(document("resp_1", ttl_seconds=100), expected=1)
    place.clock.seconds += 90

    assert await store.get("response", ID) is not None


async def test_a_page_is_full_though_expired_documents_lie_between(place: Place, store: DurableStore) -> None:
    for number in range(12):
        await store.put(document(f"r{number:02}", ttl_seconds=100 if number % 3 else None))
    place.clock.seconds += 100 + MARGIN_SECONDS

    found = await store.documents("response", KEY.tenant, Page(3))
    assert [one.key.id for one in found] == ["r00", "r03", "r06"]


async def test_a_page_of_sessions_is_full_though_expired_ones_lie_between(place: Place, store: DurableStore) -> None:
    for number in range(9):
        await store.create(session(f"s{number}"))
    place.clock.seconds += RETENTION_SECONDS / 2
    for number in range(1, 9, 2):
        await store.append(Key(KEY.tenant, f"s{number}"), 0, turn("t", "x"))
    place.clock.seconds += RETENTION_SECONDS / 2 + MARGIN_SECONDS

    assert [one.key.id for one in await store.sessions(KEY.tenant, limit=3)] == ["s1", "s3", "s5"]


async def test_purging_ends_and_takes_nothing_that_lives(place: Place, store: DurableStore) -> None:
    await filled(store, 5)
    await store.put(document("resp_1"))
    place.clock.seconds += RETENTION_SECONDS + MARGIN_SECONDS
    kept = await filled(store, 2, Key(KEY.tenant, "conv_2"))
    stored = await store.put(document("resp_2"))

    for _ in range(100):
        if await store.purge() == 0:
            break
    else:
        pytest.fail("purge() never said that nothing is left")
    assert await everything(store) == []
    assert await everything(store, Key(KEY.tenant, "conv_2")) == kept
    assert await store.get("response", stored.key) == stored
