"""One front over its scripted engines, and the few verbs that tests speak to it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.front_process import Front
from tests.support.raw_http import Answer, Wire, request
from tests.support.scripted_engine import ScriptedEngine

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
MESSAGES, RESPONSES = "/v1/messages", "/v1/responses"
HELLO = [{"role": "user", "content": "Hello"}]
# The smallest good body of each generation route that streams.
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "tiny", "messages": HELLO},
    COMPLETIONS: {"model": "tiny", "prompt": "Hello"},
    MESSAGES: {"model": "tiny", "messages": HELLO, "max_tokens": 16},
    RESPONSES: {"model": "tiny", "input": "Hello", "store": False},
}


MakeWorld = Callable[..., "World"]


@dataclass
class World:
    front: Front
    engines: list[ScriptedEngine]

    @property
    def engine(self) -> ScriptedEngine:
        return self.engines[0]

    @property
    def seen_by_engines(self) -> int:
        return sum(len(engine.seen) for engine in self.engines)

    def reset(self) -> World:
        for engine in self.engines:
            engine.reset()
            engine.up()
        return self

    def end(self) -> None:
        self.front.kill()
        for engine in self.engines:
            engine.down()

    def wire(self, **options: Any) -> Wire:
        return Wire(self.front.address, **options)

    def request(self, path: str, body: Any = None, **options: Any) -> bytes:
        return request(path, body, **{"key": self.front.key, **options})

    def chat(self, *, stream: bool = True, **fields: Any) -> bytes:
        """The bytes of a chat request."""
        return self.request(CHAT, chat_body(stream=stream, **fields))

    def ask(self, path: str, body: Any = None, **options: Any) -> Answer:
        """One request on a connection of its own."""
        with self.wire() as wire:
            return wire.send(self.request(path, body, **options)).answer()

    def say(self, *, stream: bool = True, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """One chat request on a connection of its own."""
        return self.ask(CHAT, chat_body(stream=stream, **fields), headers=headers)


def chat_body(*, stream: bool = True, **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": HELLO, "stream": stream, **fields}


class Worlds:
    """Worlds by their settings: each front is started once and shared by the tests that ask for the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worlds: dict[str, World] = {}
        self._complaints: dict[int, int] = {}

    def get(
        self, engines: int = 1, settings: Mapping[str, Any] | None = None, keys: Sequence[Mapping[str, Any]] = ()
    ) -> World:
        name = repr((engines, sorted((settings or {}).items()), keys))
        if name not in self._worlds or self._worlds[name].front.process.poll() is not None:
            self._worlds[name] = self.new(engines, settings, keys)
        return self._worlds[name].reset()

    def new(
        self,
        engines: int = 1,
        settings: Mapping[str, Any] | None = None,
        keys: Sequence[Mapping[str, Any]] = (),
        *,
        started: bool = True,
    ) -> World:
        scripted = [ScriptedEngine() for _ in range(engines)]
        front = Front([engine.url for engine in scripted], settings, keys, self._folder)
        try:
            return World(front.start() if started else front, scripted)
        except AssertionError:
            front.kill()
            raise

    def new_complaints(self) -> str:
        """What the shared fronts wrote to standard error since the last call."""
        news = ""
        for world in self._worlds.values():
            lines, port = world.front.complaints, world.front.port
            news += "".join(lines[self._complaints.get(port, 0) :])
            self._complaints[port] = len(lines)
        return news

    def close(self) -> None:
        for world in self._worlds.values():
            world.end()
