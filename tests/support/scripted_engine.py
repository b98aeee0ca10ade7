"""An OpenAI-shaped engine on a real socket that does exactly what its script says and records what it saw.

It runs on a loop thread of its own, so plain synchronous tests can drive it. It knows nothing of the front tier.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support import vllm_wire
from tests.support.engine_connection import EngineConnection, Seen
from tests.support.ports import free_port
from tests.support.script import Script
from tests.support.waiting import eventually

T = TypeVar("T")


class ScriptedEngine:
    """`script` answers every request, unless `decide`, `queue` or `by_user` (the `user` field) hold another."""

    def __init__(self, model: str = "tiny", max_model_len: int = 2048) -> None:
        self.model = model
        self.max_model_len = max_model_len
        self.port = free_port()
        self.healthy = True
        self.lists_models = True
        self.open: set[EngineConnection] = set()
        self.is_dead = True
        self._server: asyncio.Server | None = None
        self._loop = _loop()
        self.reset()
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Back to the default script, nothing seen."""
        self.script = Script()
        self.queue: deque[Script] = deque()
        self.by_user: dict[str, Script] = {}
        self.decide: Callable[[Seen], Script | None] | None = None
        self.seen: list[Seen] = []
        self.polls: list[str] = []
        self.connections = 0
        self.reset_on_accept = 0
        self.drop_reused = False
        self.gives_token_ids = False

    def next(self, *scripts: Script) -> None:
        """Scripts for the next requests, one each, before `script` takes over again."""
        self.queue.extend(scripts)

    def up(self) -> None:
        """Listen; no effect if it does."""
        if self._server is None:
            self._server = self._call(self._listen())

    def down(self) -> None:
        """As a killed process: the port refuses, every connection is reset."""
        if self._server is not None:
            self._call(self._dies())

    def die(self) -> None:
        """`down`, from the engine's own loop."""
        self.is_dead = True
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.open):
            connection.reset()

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def kill_idle(self) -> None:
        """Close every connection, keep listening."""
        self._call(self._close_all())

    @property
    def in_flight(self) -> int:
        return sum(seen.finished_at is None and seen.left_at is None for seen in self.seen)

    def wait_for(self, count: int = 1, within: float = 5.0) -> Seen:
        """The `count`-th generation request, once its whole body is here."""
        eventually(lambda: len(self.seen) >= count, within=within, what=f"{count} request(s) at the engine")
        return self.seen[count - 1]

    def choose(self, seen: Seen) -> Script:
        if self.decide is not None and (decided := self.decide(seen)) is not None:
            return decided
        if self.queue:
            return self.queue.popleft()
        user = seen.body.get("user") if isinstance(seen.body, dict) else None
        return self.by_user.get(user, self.script)

    def document(self, path: str) -> tuple[int, bytes]:
        """What a GET answers."""
        self.polls.append(path)
        if path == "/v1/models" and self.lists_models:
            return 200, vllm_wire.models(self.model, self.max_model_len)
        if path in ("/health", "/-/healthz", "/ping"):
            return (200 if self.healthy else 503), b""
        return 404, vllm_wire.dump({"detail": "Not Found"})

    async def _listen(self) -> asyncio.Server:
        self.is_dead = False
        return await self._loop.create_server(lambda: EngineConnection(self), "127.0.0.1", self.port, backlog=2048)

    async def _dies(self) -> None:
        self.die()

    async def _close_all(self) -> None:
        for connection in list(self.open):
            connection.transport.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)


_lock = threading.Lock()
_running: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    """One loop thread serves all engines of the test process."""
    with _lock:
        if not _running:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="scripted-engines", daemon=True).start()
            _running.append(loop)
        return _running[0]
