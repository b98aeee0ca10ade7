"""A real front whose stores the test reaches into, as another replica would: a SQLite file and a Redis."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import openai

from serving.adapters.redis.state import RedisState
from serving.adapters.stores import open_store
from serving.front.state.records import Document, Key, Kind
from serving.front.state.stores import DurableStore, StreamWriter
from serving.settings import StateSettings
from tests.support.front_process import Front
from tests.support.raw_http import Answer, Wire, request
from tests.support.state_world import TEAMS, StateWorld

T = TypeVar("T")
_TIMES = {"front.state.store_timeout_seconds": 2, "front.state.redis_timeout_seconds": 1}


class ColdFront:
    """A context manager. Without a team named, the first one asks."""

    def __init__(self, folder: Path, *, redis: bool = True, **settings: Any) -> None:
        options = {**_TIMES, **{f"front.{name}": value for name, value in settings.items()}}
        self.world = StateWorld(folder, fronts=1, redis=redis, settings=options)
        self.cancelled: list[Key] = []
        self._writers: dict[Key, StreamWriter] = {}
        self._replicas: dict[str, RedisState] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.store: DurableStore

    def __enter__(self) -> ColdFront:
        self.world.__enter__()
        self._thread.start()
        self.store = self.run(open_store(self.world.store_url, StateSettings()))
        return self

    def __exit__(self, *_: object) -> None:
        for replica in list(self._replicas):
            self.lose(replica)
        self.run(self.store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.world.__exit__(None, None, None)
        assert "Traceback" not in "".join(self.front.complaints)

    @property
    def front(self) -> Front:
        return self.world.fronts[0]

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(60)

    def client(self, team: str = TEAMS[0]) -> openai.OpenAI:
        """The `openai` client, without its retries."""
        return self.world.client(0, team)

    def wire(self) -> Wire:
        return Wire(self.front.address, timeout=20)

    def request(self, path: str, body: Any = None, *, team: str = TEAMS[0], **options: Any) -> bytes:
        return request(path, body, **{"key": self.world.keys[team], **options})

    def ask(self, path: str, body: Any = None, **options: Any) -> Answer:
        """One request on a connection of its own."""
        with self.wire() as wire:
            return wire.send(self.request(path, body, **options)).answer()

    def put(self, kind: Kind, id: str, body: dict[str, Any], at: float | None = None) -> None:
        """A document of the first team, as a replica would write it."""
        self.put_all([Document(Key(TEAMS[0], id), kind, body, time.time() if at is None else at)])

    def put_all(self, documents: Iterable[Document]) -> None:
        self.run(self._put(documents))

    def write(self, stream: str, *events: bytes, replica: str = "other", ends: bool = False) -> None:
        """Events of a stream of the first team, in one batch."""
        self.run(self._write(Key(TEAMS[0], stream), events, replica, ends))

    def hear(self, replica: str = "other") -> None:
        """A replica that hears of cancels."""
        self.run(self._replica(replica))

    def lose(self, replica: str) -> None:
        """It wrote streams and is no more."""
        self.run(self._replicas.pop(replica).close())

    async def _put(self, documents: Iterable[Document]) -> None:
        await asyncio.gather(*[self.store.put(document) for document in documents])

    async def _write(self, key: Key, events: tuple[bytes, ...], replica: str, ends: bool) -> None:
        if key not in self._writers:
            self._writers[key] = (await self._replica(replica)).streams.open(key)
        writer = self._writers[key]
        (writer.end if ends else writer.add)(b"".join(events), len(events))
        await asyncio.sleep(0.03)

    async def _replica(self, name: str) -> RedisState:
        if name not in self._replicas:
            assert self.world.redis is not None
            settings = StateSettings(redis_timeout_seconds=2)
            self._replicas[name] = await RedisState.connect(self.world.redis.url, settings, name, self.cancelled.append)
        return self._replicas[name]
