"""Two fronts over one engine, one store and one Redis, and the few verbs that tests of what is kept use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import openai

from tests.support.front_process import Front
from tests.support.raw_http import Answer, Wire, request
from tests.support.scripted_engine import ScriptedEngine
from tests.support.state_world import TEAMS, StateWorld
from tests.support.world import CHAT, RESPONSES

Said = tuple[str, str]
_numbers = itertools.count()


def new_id(kind: str = "s") -> str:
    """An id that no other test uses."""
    return f"{kind}-{next(_numbers)}"


class TwoFronts:
    """`front` picks who is asked; without a team named, the first one asks."""

    def __init__(self, world: StateWorld) -> None:
        self._world = world

    def reset(self) -> TwoFronts:
        """The engine on its default script with nothing seen, both fronts alive."""
        self.engine.reset()
        self.engine.up()
        for front in self.fronts:
            if front.process.poll() is not None:
                front.start()
        return self

    @property
    def engine(self) -> ScriptedEngine:
        return self._world.engine

    @property
    def fronts(self) -> list[Front]:
        return self._world.fronts

    @property
    def store_url(self) -> str:
        return self._world.store_url

    def client(self, front: int = 0, team: str = TEAMS[0]) -> openai.OpenAI:
        return self._world.client(front, team)

    def request(self, path: str, body: Any = None, *, team: str = TEAMS[0], **options: Any) -> bytes:
        return request(path, body, **{"key": self._world.keys[team], **options})

    def wire(self, front: int = 0) -> Wire:
        return Wire(self.fronts[front].address, timeout=30)

    def ask(self, path: str, body: Any = None, *, front: int = 0, **options: Any) -> Answer:
        """One request on a connection of its own."""
        with self.wire(front) as wire:
            return wire.send(self.request(path, body, **options)).answer()

    def say(
        self,
        text: str = "Hello",
        *,
        front: int = 0,
        headers: Mapping[str, str] | None = None,
        team: str = TEAMS[0],
        **fields: Any,
    ) -> Answer:
        """A chat message of a user, unless `messages` say otherwise."""
        return self.ask(CHAT, chat(text, **fields), front=front, headers=headers, team=team)

    def respond(
        self,
        text: Any = "Hello",
        *,
        front: int = 0,
        headers: Mapping[str, str] | None = None,
        team: str = TEAMS[0],
        **fields: Any,
    ) -> Answer:
        body = {"model": "tiny", "input": text, **fields}
        return self.ask(RESPONSES, body, front=front, headers=headers, team=team)

    @contextmanager
    def half_way(self, asked: bytes, *, events: int = 3, front: int = 0) -> Iterator[Wire]:
        """A client that has read so many events of a stream; it leaves with the context."""
        with self.wire(front) as wire:
            stream = wire.events(wire.send(asked).head())
            for _ in range(events):
                next(stream)
            yield wire

    def shown(self, number: int = -1) -> list[Said]:
        """Who said what in the request that the engine saw last, or as that number."""
        body = self.engine.seen[number].body
        given = body.get("messages", body.get("input"))
        return [("user", given)] if isinstance(given, str) else [_said(entry) for entry in given]

    def kept(self, session: str, *, front: int = 1) -> list[tuple[str, str, str]]:
        """Who said what in a session, and the status of each item."""
        listed = self.ask(f"/v1/conversations/{session}/items?order=asc&limit=100", front=front)
        if listed.status == 404:
            return []
        return [(*_said(item), item["status"]) for item in listed.json()["data"]]


def chat(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **fields}


def answered(*texts: str, by: str = "Hello, world") -> list[Said]:
    """A history of these user messages, each with the scripted answer."""
    return [pair for text in texts for pair in (("user", text), ("assistant", by))]


def _said(entry: dict[str, Any]) -> Said:
    content = entry.get("content", entry.get("output"))
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return entry.get("role", entry.get("type")), content
