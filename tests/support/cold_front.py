"""The cold routes alone, listening in this process, over a SQLite file and a Redis that tests can reach into."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import openai
import uvicorn

from serving.adapters.redis_state import RedisState
from serving.adapters.stores import open_store
from serving.front import api
from serving.front.auth import Auth, Caller
from serving.front.ids import minter
from serving.front.records import Document, Key, Kind
from serving.front.route import Fleet
from serving.front.running import Running
from serving.front.state import State
from serving.front.stores import DurableStore, StreamWriter
from serving.settings import LimitSettings, StateSettings
from tests.support.ports import free_port
from tests.support.raw_http import Answer, Wire, request
from tests.support.redis_server import RedisServer

T = TypeVar("T")
TEAMS = ("red", "blue")


class ColdFront:
    """A context manager. The key of a team is `key-TEAM`; `redis` None means that none is configured."""

    def __init__(self, folder: Path, redis: RedisServer | None, *, heartbeat_seconds: float = 10) -> None:
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.url = f"sqlite:///{folder}/state.db"
        self.store: DurableStore
        self._writers: dict[Key, StreamWriter] = {}
        self.cancelled: list[Key] = []
        self._replicas: dict[str, RedisState] = {}
        self._redis = redis
        self._heartbeat_seconds = heartbeat_seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ColdFront:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(30)

    def client(self, team: str = TEAMS[0]) -> openai.OpenAI:
        """The `openai` client, without its retries."""
        base_url = f"http://127.0.0.1:{self.port}/v1"
        return openai.OpenAI(base_url=base_url, api_key=f"key-{team}", max_retries=0, timeout=20)

    def ask(self, path: str, body: Any = None, *, team: str = TEAMS[0], **options: Any) -> Answer:
        """One request on a connection of its own."""
        with Wire(self.address, timeout=20) as wire:
            return wire.send(request(path, body, **{"key": f"key-{team}", **options})).answer()

    def put(self, kind: Kind, id: str, body: dict[str, Any], *, created_at: float | None = None) -> None:
        """A document of the first team, as a generation would write it."""
        at = time.time() if created_at is None else created_at
        self.run(self.store.put(Document(Key(TEAMS[0], id), kind, body, at)))

    def write(self, stream: str, *events: bytes, replica: str = "replica", ends: bool = False) -> None:
        """Events of a stream of the first team, in one batch."""
        self.run(self._write(stream, events, replica, ends))

    def lose(self, replica: str) -> None:
        """It wrote streams and is no more."""
        self.run(self._replicas.pop(replica).close())

    async def _write(self, stream: str, events: tuple[bytes, ...], replica: str, ends: bool) -> None:
        if replica not in self._replicas:
            self._replicas[replica] = await self._connect(replica)
        key = Key(TEAMS[0], stream)
        writer = self._writers.get(key) or self._replicas[replica].streams.open(key)
        self._writers[key] = writer
        (writer.end if ends else writer.add)(b"".join(events), len(events))
        await asyncio.sleep(0.03)

    async def _connect(self, replica: str) -> RedisState:
        url = "redis://127.0.0.1:9/0" if self._redis is None else self._redis.url
        settings = StateSettings(redis_timeout_seconds=2)
        return await RedisState.connect(url, settings, replica, self.cancelled.append)

    async def _start(self) -> None:
        limits, running = LimitSettings(), Running(time.monotonic, 3600)
        self.store = await open_store(self.url, StateSettings(store_timeout_seconds=2))
        self._replicas["replica"] = redis = await self._connect("replica")
        streams = None if self._redis is None else redis.streams
        state = State(
            self.store, redis.hot, streams, running, minter(), time.time, limits, self._heartbeat_seconds, 3600
        )
        auth = Auth(_Keys(), time.time)
        app = api.create(auth, Fleet(time.monotonic, 1), lambda: True, lambda: "req_1", state)
        config = uvicorn.Config(app, port=self.port, http="httptools", lifespan="off", log_config=None)
        self._server = uvicorn.Server(config)
        self._serving = self._loop.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def _stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        for replica in self._replicas.values():
            await replica.close()
        await self.store.close()


class _Keys:
    def __init__(self) -> None:
        self._callers = {hashlib.sha256(f"key-{team}".encode()).digest(): Caller(team, "", team, "") for team in TEAMS}

    def find(self, digest: bytes) -> Caller | None:
        return self._callers.get(digest)
