"""The client's side of a request that is kept: what the relay writes passes through here on its way to the client.

It collects the answer, gives it our ids, copies it to the stream log, and holds its end back until the durable store
has the turn. It knows no store: `commit` gets one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import orjson

from serving.errors import EngineFailed, RequestError
from serving.front import events
from serving.front.dialect import Route
from serving.front.state import transcript
from serving.front.state.stores import StreamWriter
from serving.front.state.transcript import Answer
from serving.front.upstream import Reply

_HAS_OBJECT = b'"response":'
# What is read of an answer that is kept.
_CHAT, _RESPONSE = frozenset({"id", "choices"}), frozenset({"status", "output"})


class Sink(Protocol):
    """The client itself."""

    def begin(self, headers: bytes, *, stream: bool) -> None: ...

    def bind(self, reply: Reply) -> None: ...

    def answer(self, body: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def finish(self, data: bytes) -> None: ...

    def fail(self, error: RequestError) -> None: ...


class Keeper:
    """`changes` are the fields of a response object that the front owns; `open_log` begins the stream's log."""

    def __init__(
        self,
        client: Sink,
        route: Route,
        changes: dict[str, Any] | None,
        open_log: Callable[[bytes], StreamWriter | None],
        *,
        numbers_events: bool,
    ) -> None:
        self._client = client
        self._route = route
        self._changes = changes
        self._open_log = open_log
        self._numbers_events = numbers_events
        self._log: StreamWriter | None = None
        self._pieces: list[bytes] = []
        self._sent: list[bytes] | None = None
        self.is_stream = False
        self._number = 0
        self._client_waits = True

    def keep_bytes(self) -> None:
        """Remember what the client gets, byte for byte."""
        self._sent = []

    def answer_early(self, body: bytes) -> None:
        """The client gets this now; what follows is for whoever asks later."""
        self._client_waits = False
        self._client.answer(body)

    def bind(self, reply: Reply) -> None:
        if self._client_waits:
            self._client.bind(reply)

    def answer(self, body: bytes) -> None:
        if self._changes is not None:
            body = orjson.dumps({**_object(body), **self._changes})
        self._pieces.append(body)

    def write(self, data: bytes) -> None:
        data = self._ours(data)
        if not self._pieces:
            self._log = self._open_log(data)
        self._pieces.append(data)
        self._pass_on(data)

    def finish(self, data: bytes) -> None:
        """The end is held back; `release` lets it go."""
        data = self._ours(data)
        if not self._pieces:
            self._log = self._open_log(data)
        self._pieces.append(data)

    def fail(self, error: RequestError) -> None:
        self.end_log(error)
        if self._client_waits:
            self._client.fail(error)

    def end_log(self, error: RequestError) -> None:
        """Whoever follows the stream elsewhere is told how it ended; no effect on a log that has its end."""
        if self._log is not None:
            self._log.end(*self._numbered(self._route.dialect.error_event(error)))
            self._log = None

    @property
    def delivered(self) -> bool:
        """Some of a stream has reached the client."""
        return self.is_stream and bool(self._pieces)

    def read(self) -> Answer:
        """The answer as far as it is here. Raises `EngineFailed` when it is none."""
        try:
            answer = transcript.read(self._route, b"".join(self._pieces), stream=self.is_stream)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EngineFailed("The engine's answer is malformed.") from None
        if not answer.object.keys() >= (_CHAT if self._changes is None else _RESPONSE):
            raise EngineFailed("The engine's answer is malformed.")
        return answer

    def whole(self) -> bytes:
        """Everything that the client has got or will get."""
        if not self.is_stream:
            return self._pieces[-1]
        end, _ = self._numbered(self._pieces[-1])
        return b"".join([*(self._sent or ()), end])

    def release(self) -> None:
        """Let the end go."""
        last = self._pieces[-1]
        if not self.is_stream:
            if self._client_waits:
                self._client.answer(last)
            return
        last, count = self._numbered(last)
        if self._log is not None:
            self._log.end(last, count)
            self._log = None
        if self._client_waits:
            self._client.finish(last)

    def _pass_on(self, data: bytes) -> None:
        if self._log is not None or self._numbers_events:
            data, count = self._numbered(data)
            self._number += count
            if self._log is not None:
                self._log.add(data, count)
        if self._sent is not None:
            self._sent.append(data)
        if self._client_waits:
            self._client.write(data)

    def _numbered(self, data: bytes) -> tuple[bytes, int]:
        """With an `id:` line for each event, where the stream carries them; and how many they are."""
        whole, _ = events.split(data)
        if self._numbers_events:
            data = b"".join([b"id: %d\n%b" % (self._number + index, event) for index, event in enumerate(whole)])
        return data, len(whole)

    def _ours(self, data: bytes) -> bytes:
        """Events that carry the whole response object, with what is ours in it."""
        if self._changes is None or _HAS_OBJECT not in data:
            return data
        whole, rest = events.split(data)
        return b"".join([self._changed(event) for event in whole]) + rest

    def _changed(self, event: bytes) -> bytes:
        if _HAS_OBJECT not in event:
            return event
        lines = []
        for line in event.rstrip(b"\n").split(b"\n"):
            if line.startswith(b"data:"):
                content = _object(line[5:])
                if isinstance(content.get("response"), dict):
                    content["response"] = {**content["response"], **(self._changes or {})}
                    line = b"data: " + orjson.dumps(content)
            lines.append(line)
        return b"\n".join(lines) + b"\n\n"


def _object(data: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise EngineFailed("The engine's answer is malformed.")
    return content
