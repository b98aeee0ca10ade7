"""Step 8, relay: an engine's answer becomes the client's bytes; it counts by scanning and parses only what ends.

Bytes reach the client from the engine's callback. After the first one there is no status and no silent end: a broken
stream ends with an error event and an abnormal close, never with the terminal event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from serving.errors import EngineFailed, EngineTimeout, RequestError, Silent, UpstreamError
from serving.front import events
from serving.front.attempt import Reply, Started
from serving.front.dialect import Dialect
from serving.front.eager import Wake
from serving.front.events import Usage
from serving.front.wire import GenerationRequest

_LONGEST_EVENT = 8 * 1024 * 1024


class Client(Protocol):
    """The client's side of one request."""

    def bind(self, reply: Reply) -> None:
        """Pause and resume this reply as the client keeps up or does not."""

    def answer(self, body: bytes) -> None:
        """A whole JSON answer, status 200."""

    def write(self, data: bytes) -> None:
        """Whole events of a stream; the first call sends the head."""

    def finish(self, data: bytes) -> None:
        """The last events and a clean end."""

    def fail(self, error: RequestError) -> None:
        """An error event, then an abnormal end."""


class Outcome(NamedTuple):
    """What was delivered. `usage` is the engine's count, else None; times are monotonic seconds."""

    usage: Usage | None
    events: int
    finish: str | None
    first_at: float
    last_at: float
    error: RequestError | None = None

    @property
    def output_tokens(self) -> int:
        """The engine's count, else the events, of which one may hold several tokens."""
        return self.usage.output_tokens if self.usage else self.events

    def tokens_or(self, prompt_tokens: int) -> int:
        """Prompt and output together; `prompt_tokens` stands in where the engine gave no count."""
        return (self.usage.prompt_tokens if self.usage else prompt_tokens) + self.output_tokens


class Whole:
    """Hands a whole answer over at once. Raises `EngineFailed` when it is no JSON object."""

    def __init__(self, started: Started, client: Client) -> None:
        body, at = started.reply.body, started.reply.first_at
        if body[:1] != b"{" or body.rstrip()[-1:] != b"}":
            raise EngineFailed("The engine's answer is not a JSON object.")
        client.answer(body)
        self._outcome = Outcome(events.usage_in(body), 0, events.finish_in(body), at, at)

    def outcome(self) -> Outcome:
        """What was delivered."""
        return self._outcome


class Stream:
    """Relays one stream. `done` happens when it ended, whichever way."""

    def __init__(
        self,
        started: Started,
        request: GenerationRequest,
        client: Client,
        clock: Callable[[], float],
    ) -> None:
        self._started = started
        self._dialect: Dialect = request.route.dialect
        # Several choices may share an event, which then counts as several: look into each.
        self._plain = self._dialect.plain if request.choices == 1 else b"\n\n\n"
        self._shows_usage = request.wants_usage
        self._client = client
        self._clock = clock
        self.done = Wake()
        self._rest = b""
        self._events = 0
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._error: RequestError | None = None
        self._last_at = started.reply.first_at
        started.reply.attach(self)
        client.bind(started.reply)

    def outcome(self) -> Outcome:
        """What was delivered so far."""
        first_at = self._started.reply.first_at
        return Outcome(self._usage, self._events, self._finish, first_at, self._last_at, self._error)

    def feed(self, piece: bytes) -> None:
        """Bytes of the engine, cut anywhere."""
        self._last_at = self._clock()
        if not self._rest and piece[-2:] == b"\n\n":
            count = piece.count(b"\n\n")
            if piece.count(self._plain) == count:
                self._events += count
                self._client.write(piece)
                return
        self._look_into(piece)

    def end(self) -> None:
        """The engine's body ended; without a terminal event that is a failure."""
        self._fail(EngineFailed("The engine's stream ended before its answer did."))

    def lost(self, error: UpstreamError) -> None:
        if isinstance(error, Silent):
            self._fail(EngineTimeout("The engine went silent in the middle of the answer."))
        else:
            self._fail(EngineFailed("The connection to the engine was lost in the middle of the answer."))

    def _look_into(self, piece: bytes) -> None:
        whole, self._rest = events.split(self._rest + piece)
        out: list[bytes] = []
        for raw in whole:
            event = self._dialect.read(raw)
            self._finish = event.finish or self._finish
            self._usage = event.usage or self._usage
            if event.error or (event.done and not self._finish):
                self._pass_on(out)
                self._fail(EngineFailed("The engine failed in the middle of the answer."))
                return
            if not event.usage_only or self._shows_usage:
                out.append(raw)
            if event.done:
                self._close(out)
                return
            self._events += not event.usage_only
        self._pass_on(out)
        if len(self._rest) > _LONGEST_EVENT:
            self._fail(EngineFailed("The engine sent an event without an end."))

    def _pass_on(self, out: list[bytes]) -> None:
        if out:
            self._client.write(b"".join(out))

    def _close(self, out: list[bytes]) -> None:
        if not self.done.happened:
            self._client.finish(b"".join(out))
            self.done.set()

    def _fail(self, error: RequestError) -> None:
        if not self.done.happened:
            self._error = error
            self._client.fail(error)
            self.done.set()
