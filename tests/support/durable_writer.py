"""A process that appends turns to a store until it is killed, and tells of each one that was acknowledged.

`python -m tests.support.durable_writer URL NAME`: eight sessions NAME-0 … NAME-7 of its own, and the session `shared`
that others write too. One line per turn: SESSION TURN NUMBER.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

from serving.adapters.stores import open_store
from serving.errors import VersionConflict
from serving.front.state.records import Item, Key, Session, Turn
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings

TENANT = "acme"


async def write(url: str, name: str) -> None:
    store = await open_store(url, StateSettings(store_timeout_seconds=60))
    own = [f"{name}-{number}" for number in range(8)]
    await asyncio.gather(*(_append_for_ever(store, Key(TENANT, id), name) for id in (*own, "shared")))


async def _append_for_ever(store: DurableStore, key: Key, name: str) -> None:
    expected = 0
    for count in itertools.count():
        turn = Turn(f"{name}-{count}", time.time(), "chat", (Item(f"{name}-{count}", {"content": "x" * 500}),))
        while True:
            try:
                stored = await store.append(key, expected, turn, new=Session(key, time.time()))
            except VersionConflict:
                opened = await store.open(key, 1)
                expected = opened.version if opened else 0
                continue
            break
        expected = stored.number
        sys.stdout.write(f"{key.id} {stored.id} {stored.number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
