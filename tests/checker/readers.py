"""A whole session afterwards, by every way that shows it: the store itself, the API, what an engine is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from serving.adapters.stores import open_store
from serving.front.state.records import Key
from serving.settings import StateSettings
from tests.checker import witness
from tests.checker.history import Reading
from tests.checker.talk import Talk
from tests.checker.witness import Pair
from tests.support.state_world import StateWorld

_ALL = 1_000_000


def of_store(world: StateWorld, talks: Iterable[Talk], at: float) -> list[Reading]:
    """What the durable store holds of chats and conversations, past every front and proxy."""
    return asyncio.run(_of_store(world, [talk for talk in talks if talk.api != "chain"], at))


def of_api(world: StateWorld, front: int, talk: Talk, at: float) -> Reading:
    """The items of a conversation, page by page; none of one that is not there."""
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = world.get(front, f"/v1/conversations/{talk.id}/items?limit=100&order=asc{after}", talk.team)
        if answer.status == 404:
            return _reading(talk, f"the API of front {front}", at, [])
        assert answer.status == 200, (talk, answer.status, answer.body)
        page = answer.json()
        items += page["data"]
        if not page["has_more"]:
            return _reading(talk, f"the API of front {front}", at, items)
        after = f"&after={page['last_id']}"


def of_answer(talk: Talk, front: int, at: float, text: str) -> Reading:
    """What an engine was shown by a front for a last turn, and that turn."""
    said = witness.understand(text)
    assert said is not None, text
    return Reading(
        talk.name, f"what front {front} shows an engine", at, (*said.seen, Pair(said.marker, said.generation))
    )


async def _of_store(world: StateWorld, talks: list[Talk], at: float) -> list[Reading]:
    store = await open_store(world.store_url, StateSettings(store_timeout_seconds=30))
    readings = []
    try:
        for talk in talks:
            turns = await store.turns(Key(talk.team, talk.id), limit=_ALL, order="asc")
            assert [turn.number for turn in turns] == list(range(1, len(turns) + 1)), talk
            items = [item.content for turn in turns for item in turn.items]
            readings.append(_reading(talk, "the store", at, items))
    finally:
        await store.close()
    return readings


def _reading(talk: Talk, source: str, at: float, items: list[dict[str, Any]]) -> Reading:
    texts: dict[str, str] = {}
    marker = witness.UNKNOWN
    for item in items:
        if item.get("role") == "user":
            marker = witness.marker_of(witness.text_of(item.get("content")))
        elif item.get("role") == "assistant":
            texts[marker] = texts.get(marker, "") + witness.text_of(item.get("content"))
    return Reading(talk.name, source, at, witness.pairs({"input": items}), texts)
