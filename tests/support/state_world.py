"""Front replicas over one engine, one durable store and one Redis, each store behind a proxy; and what clients say."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import openai

from serving.front.keys import mint
from tests.support import said
from tests.support.chaos_proxy import ChaosProxy
from tests.support.front_process import START_SECONDS, Front
from tests.support.raw_http import Answer, Wire, request, split_events
from tests.support.redis_server import RedisServer
from tests.support.said import Said
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiers import require
from tests.support.waiting import eventually
from tests.support.world import CHAT

# By module and class: a store whose support cannot be imported fails alone.
STORES = {
    "sqlite": ("sqlite_server", "SqliteServer"),
    "postgres": ("postgres_server", "PostgresServer"),
    "dynamodb-moto": ("dynamodb_server", "MotoServer"),
    "dynamodb-dynalite": ("dynamodb_server", "DynaliteServer"),
}
TEAMS = ("red", "blue")
# A client that waits longer than this for the next byte takes the connection for dead.
PATIENCE_SECONDS = 30.0


class StateWorld:
    """A context manager. `settings` are dotted keys and values for every front; a key of a team works at all of them.

    `store_proxy` is None for SQLite, which has no connection; `redis` and its proxy are None without Redis.
    """

    def __init__(
        self,
        folder: Path,
        store: str = "sqlite",
        *,
        fronts: int = 2,
        engines: int = 1,
        redis: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.keys = {team: mint() for team in TEAMS}
        self.engines: list[ScriptedEngine] = []
        self.fronts: list[Front] = []
        for name in ("store", "redis"):
            (folder / name).mkdir(parents=True)
        self.store: Any = _server(*STORES[store])(folder / "store")
        self.redis = RedisServer(folder / "redis") if redis else None
        self.store_proxy: ChaosProxy | None = None
        self.redis_proxy: ChaosProxy | None = None
        self._sizes = (fronts, engines)
        self._settings = dict(settings or {})
        self._clients: dict[tuple[int, str], openai.OpenAI] = {}
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> StateWorld:
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def engine(self) -> ScriptedEngine:
        return self.engines[0]

    def kill(self, front: int) -> None:
        """SIGKILL."""
        self.fronts[front].kill()

    def restart(self, front: int) -> None:
        """On the same ports, again and again as a supervisor does it: a front may end while its store is away."""
        self.fronts[front].launch()
        deadline = time.monotonic() + START_SECONDS
        while self.fronts[front].readiness() != 200:
            assert time.monotonic() < deadline, self.fronts[front].stderr
            if self.fronts[front].process.poll() is not None:
                self.fronts[front].launch()
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        for front in self.fronts:
            _wait_until_ready(front)

    def client(self, front: int, team: str = TEAMS[0]) -> openai.OpenAI:
        """The `openai` client, without its retries; one per front and team."""
        with self._lock:
            if (front, team) not in self._clients:
                base_url, key = f"{self.fronts[front].base_url}/v1", self.keys[team]
                made = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=PATIENCE_SECONDS)
                self._clients[front, team] = self._stack.enter_context(made)
            return self._clients[front, team]

    def say(
        self,
        front: int,
        session: str,
        text: str,
        *,
        team: str = TEAMS[0],
        stream: bool = False,
        idempotency_key: str | None = None,
        events: int | None = None,
        **fields: Any,
    ) -> Said:
        """One chat turn on a connection of its own. The client leaves after so many `events` of a stream."""
        message = {"role": "user", "content": text}
        body = {"model": "tiny", "messages": [message], "stream": stream, "session_id": session, **fields}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        asked = request(CHAT, body, key=self.keys[team], headers=headers)
        try:
            with Wire(self.fronts[front].address, timeout=PATIENCE_SECONDS) as wire:
                answer = _read(wire.send(asked), events if stream else None)
        except TimeoutError:
            return Said("broken", f"nothing for {PATIENCE_SECONDS} s")
        except OSError as error:
            return Said("broken", type(error).__name__)
        return Said("broken", "the client left") if answer is None else said.of_chat(answer, stream=stream)

    def histories(self) -> Counter[str]:
        """How many turns' histories the fronts have read, by the store that had them."""
        lines = [line for front in self.fronts for line in front.log_lines()]
        return Counter(line["history"] for line in lines if "history" in line)

    def get(self, front: int, path: str, team: str = TEAMS[0]) -> Answer:
        """A GET. Raises `OSError`."""
        with Wire(self.fronts[front].address, timeout=PATIENCE_SECONDS) as wire:
            return wire.send(request(path, key=self.keys[team])).answer()

    def _start(self) -> None:
        enter = self._stack.enter_context
        self.store_url: str = enter(self.store).fresh()
        seen_url = self.store_url
        if self.store.address is not None:
            self.store_proxy = enter(ChaosProxy(self.store.address))
            seen_url = _behind(self.store_url, self.store.address, self.store_proxy.address)
        settings = {"front.store": seen_url, **self._settings}
        if self.redis is not None:
            address = enter(self.redis).address
            self.redis_proxy = enter(ChaosProxy(address))
            settings["front.redis"] = _behind(self.redis.url, address, self.redis_proxy.address)
        count, engines = self._sizes
        for _ in range(engines):
            # Long histories go to the engine whole.
            self.engines.append(ScriptedEngine(max_model_len=10_000_000))
            self._stack.callback(self.engines[-1].down)
        keys = [{"name": team, "team": team, "key": key} for team, key in self.keys.items()]
        for _ in range(count):
            self.fronts.append(Front([engine.url for engine in self.engines], settings, keys, self.folder))
            self._stack.callback(self.fronts[-1].kill)
            self.fronts[-1].launch()
        self.wait_until_ready()


def _server(module: str, name: str) -> Any:
    server = getattr(importlib.import_module(f"tests.support.{module}"), name)
    missing = server.missing()
    require(missing or name, missing is None)
    return server


def _wait_until_ready(front: Front) -> None:
    eventually(lambda: front.readiness() == 200 or front.process.poll() is not None, START_SECONDS, "a front")
    assert front.process.poll() is None, front.stderr


def _behind(url: str, server: tuple[str, int], proxy: tuple[str, int]) -> str:
    """The URL with the proxy's port in place of the server's."""
    assert f"{server[0]}:{server[1]}" in url, urlsplit(url).scheme
    return url.replace(f"{server[0]}:{server[1]}", f"{proxy[0]}:{proxy[1]}")


def _read(wire: Wire, events: int | None) -> Answer | None:
    """The answer, or None for a client that has left before its end."""
    answer = wire.head()
    if events is None or answer.status != 200:
        for piece in wire.pieces(answer):
            answer.body += piece
        return answer
    for piece in wire.pieces(answer):
        answer.body += piece
        if len(split_events(answer.body)) >= events:
            return None
    return answer
