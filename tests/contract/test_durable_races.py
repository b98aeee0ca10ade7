"""Durable stores: many who write one session at once, through one store object and through two."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serving.errors import VersionConflict
from serving.front.state.records import Key, Turn
from serving.front.state.stores import DurableStore
from tests.contract.conftest import Place
from tests.contract.values import KEY, append_until_in, everything, session, turn

pytestmark = pytest.mark.anyio

CLIENTS = 40


async def stores(place: Place, count: int) -> list[DurableStore]:
    """Store objects whose clocks are minutes apart."""
    return [await place.open(skew_seconds=-600 * number) for number in range(count)]


@pytest.fixture(params=[1, 2], ids=["one-process", "two-processes"])
async def fronts(request: pytest.FixtureRequest, place: Place) -> list[DurableStore]:
    return await stores(place, request.param)


async def test_of_many_who_append_to_one_version_one_wins(fronts: list[DurableStore]) -> None:
    await fronts[0].create(session())
    outcomes = await asyncio.gather(
        *(fronts[number % len(fronts)].append(KEY, 0, turn(f"t{number}", "x")) for number in range(CLIENTS)),
        return_exceptions=True,
    )

    (won,) = [outcome for outcome in outcomes if isinstance(outcome, Turn)]
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == CLIENTS - 1
    assert await everything(fronts[-1]) == [won]


async def test_all_who_try_again_get_in_once_and_in_one_order(backend: Any, fronts: list[DurableStore]) -> None:
    clients = getattr(backend, "most_clients", CLIENTS)
    added = [turn(f"t{number}", "a", "b", tokens=number) for number in range(clients)]
    stored = await asyncio.gather(
        *(append_until_in(fronts[number % len(fronts)], KEY, one) for number, one in enumerate(added))
    )

    found = await everything(fronts[0])
    assert [one.number for one in found] == list(range(1, clients + 1))
    assert sorted(stored, key=lambda one: one.number) == found
    assert {one.id: one.items for one in found} == {one.id: one.items for one in added}
    assert [one.tokens_before for one in found] == [
        sum(one.tokens for one in found[:place]) for place in range(clients)
    ]


async def test_one_turn_sent_many_times_at_once_is_there_once(fronts: list[DurableStore]) -> None:
    retries = [fronts[number % len(fronts)].append(KEY, 0, turn("t1", "x"), new=session()) for number in range(10)]
    stored = await asyncio.gather(*retries)

    assert await everything(fronts[-1]) == [stored[0]]
    assert stored == [stored[0]] * 10


async def test_many_sessions_at_once_do_not_mix(fronts: list[DurableStore]) -> None:
    async def chat(name: str) -> list[Turn]:
        store, key = fronts[len(name) % len(fronts)], Key(KEY.tenant, name)
        return [
            await store.append(key, number, turn(f"{name}-{number}", name), new=session(name)) for number in range(5)
        ]

    names = ["s" * length for length in range(1, 17)]
    stored = await asyncio.gather(*(chat(name) for name in names))
    assert [await everything(fronts[0], Key(KEY.tenant, name)) for name in names] == stored


async def test_a_clock_that_goes_back_does_not_change_the_order(place: Place) -> None:
    ahead, behind = await place.open(skew_seconds=3600), await place.open(skew_seconds=-3600)
    for number in range(6):
        store = (ahead, behind)[number % 2]
        await store.append(KEY, number, turn(f"t{number}", "x")._replace(created_at=1e9 - number), new=session())

    assert [one.id for one in await everything(ahead)] == [f"t{number}" for number in range(6)]
    opened = await behind.open(KEY, 2)
    assert opened is not None
    assert [one.id for one in opened.turns] == ["t4", "t5"]
