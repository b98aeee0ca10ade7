"""The DynamoDB store's table as any other client of it sees it, and what is said of a table that cannot be used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serving.adapters.dynamodb.client import dynamodb
from serving.adapters.dynamodb.store import DynamoStore
from serving.adapters.stores import create, open_store
from serving.errors import SettingsError, StoreDown
from serving.front.eager import Run
from serving.front.state.records import Item, Turn
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings
from tests.contract.conftest import RETENTION_SECONDS, Place
from tests.contract.values import AT, KEY, document, everything, filled, session, turn
from tests.support.dynamodb_server import REGION, DynamoServer, MotoServer
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["dynamodb-moto", "dynamodb-dynalite"], indirect=True),
]

MOST_BYTES = 400_000


def table_of(url: str) -> str:
    return url.partition("//")[2].partition("?")[0]


async def rows(backend: DynamoServer, url: str) -> list[dict[str, Any]]:
    """Every row of the table, in DynamoDB's notation."""
    found: list[dict[str, Any]] = []
    async with dynamodb(table_of(url), backend.endpoint, REGION, 20) as client:
        async for page in client.get_paginator("scan").paginate(TableName=table_of(url)):
            found += page["Items"]
    return found


def size(row: dict[str, Any]) -> int:
    return sum(len(name) + len(next(iter(value.values())).encode()) for name, value in row.items())


async def test_each_message_is_a_row_in_sequence_order_with_its_time_and_its_end(
    backend: DynamoServer, url: str, store: DurableStore
) -> None:
    await store.append(KEY, 0, turn("t1", "a", "b"), new=session())
    await store.append(KEY, 1, turn("t2", "c", "d"))

    messages = [row for row in await rows(backend, url) if "item_id" in row]
    messages.sort(key=lambda row: str(row["sort_key"]["S"]))
    assert [row["item_id"]["S"] for row in messages] == ["t1_0", "t1_1", "t2_0", "t2_1"]
    assert {row["session_id"]["S"] for row in messages} == {"acme/conv_1"}
    assert {float(row["created_at"]["N"]) for row in messages} == {AT}
    assert {int(row["expires_at"]["N"]) for row in messages} == {1_750_000_001 + int(RETENTION_SECONDS)}


@pytest.mark.parametrize("text", ["x" * 1_000_000, "é" * 500_001, '"' * 500_000], ids=["ascii", "two-bytes", "quotes"])
async def test_no_row_of_a_long_message_or_document_is_too_long_for_amazon(
    backend: DynamoServer, url: str, store: DurableStore, text: str
) -> None:
    await store.append(KEY, 0, Turn("t1", AT, "chat", (Item("i", {"content": text}),)), new=session())
    await store.put(document("d", body={"text": text}))

    found = await rows(backend, url)
    assert sum(map(size, found)) > 2_000_000
    assert max(map(size, found)) < MOST_BYTES


async def test_expired_rows_that_are_still_there_are_not_returned(
    place: Place, backend: DynamoServer, url: str, store: DurableStore
) -> None:
    await filled(store, 2)
    await store.put(document("resp_1"))
    before = await rows(backend, url)
    place.clock.seconds += RETENTION_SECONDS + 2

    assert await store.open(KEY, 9) is None
    assert await everything(store) == []
    assert await store.get("response", KEY._replace(id="resp_1")) is None
    assert await rows(backend, url) == before


async def test_those_who_lost_a_race_leave_no_row(place: Place, backend: DynamoServer, url: str) -> None:
    store = await place.open()
    await store.create(session())
    appends = (store.append(KEY, 0, turn(f"t{number}", "a", "b")) for number in range(10))
    await asyncio.gather(*appends, return_exceptions=True)
    await store.put(document("d"))
    writes = (store.put(document("d", body={"text": f"{number}" * 600_000}), expected=1) for number in range(4))
    await asyncio.gather(*writes, return_exceptions=True)
    await store.close()

    kinds = [row["sort_key"]["S"][:1] for row in await rows(backend, url)]
    # A marker and two items; three parts of the document that won.
    assert {kind: kinds.count(kind) for kind in kinds} == {"~": 1, "t": 3, "h": 1, "p": 3}


async def test_a_deleted_session_leaves_a_fence_for_a_day_and_nothing_else(
    place: Place, backend: DynamoServer, url: str, store: DurableStore
) -> None:
    await filled(store, 30)
    await store.delete_session(KEY)

    (fence,) = await rows(backend, url)
    assert set(fence) == {"session_id", "sort_key", "fence", "expires_at"}
    assert int(fence["expires_at"]["N"]) - place.clock.seconds < 86401


async def test_a_deleted_document_leaves_nothing(backend: DynamoServer, url: str, store: DurableStore) -> None:
    await store.put(document("d", body={"text": "x" * 600_000}))
    await store.put(document("d", body={"text": "y" * 600_000}), expected=1)
    await store.delete("response", KEY._replace(id="d"))
    await store.close()

    assert await rows(backend, url) == []


async def test_a_flow_that_no_task_drives_is_served(store: DurableStore) -> None:
    stored: list[Turn] = []
    over = asyncio.Event()

    async def flow() -> None:
        stored.append(await store.append(KEY, 0, turn("t1", "x"), new=session()))
        over.set()

    Run(flow(), asyncio.get_running_loop())
    await asyncio.wait_for(over.wait(), 60)
    assert await everything(store) == stored


async def test_making_the_table_twice_makes_it_once_and_keeps_its_rows(backend: DynamoServer) -> None:
    url = backend.url("made-twice")
    assert await create(url)
    store = await open_store(url, StateSettings(), lambda: AT)
    stored = await filled(store, 1)

    assert not await create(url)
    assert await everything(store) == stored
    await store.close()


async def test_amazon_is_told_which_attribute_ends_a_row_where_it_can_be_told(backend: DynamoServer) -> None:
    await create(backend.url("with-an-end"))
    async with dynamodb("with-an-end", backend.endpoint, REGION, 20) as client:
        found = (await client.describe_time_to_live(TableName="with-an-end"))["TimeToLiveDescription"]

    if isinstance(backend, MotoServer):
        assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    else:
        assert found == {"TimeToLiveStatus": "DISABLED"}


async def test_a_table_that_is_not_there_names_the_command_that_makes_it(backend: DynamoServer) -> None:
    with pytest.raises(SettingsError, match=r"front\.store: .* no DynamoDB table nowhere: run tidegate db init"):
        await open_store(backend.url("nowhere"), StateSettings())


async def test_a_table_of_another_shape_is_refused(backend: DynamoServer, url: str) -> None:
    other = f"{table_of(url)}-other"
    key = {"AttributeName": "session_id", "KeyType": "HASH"}
    async with dynamodb(other, backend.endpoint, REGION, 20) as client:
        await client.create_table(
            TableName=other,
            KeySchema=[key],
            AttributeDefinitions=[{"AttributeName": "session_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    for attempt in (open_store(backend.url(other), StateSettings()), create(backend.url(other))):
        with pytest.raises(SettingsError, match=f"{other} was not made by"):
            await attempt


async def test_missing_credentials_are_named(backend: DynamoServer, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        await open_store(url, StateSettings())


async def test_a_service_that_is_away_at_the_start_is_a_store_that_is_down(backend: DynamoServer) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreDown):
        await DynamoStore.connect("table", endpoint, REGION, StateSettings(), lambda: AT)
