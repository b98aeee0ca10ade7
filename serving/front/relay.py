"""Step 8, relay: an engine's answer becomes the client's bytes; it counts by scanning and parses only what ends.

Bytes reach the client from the engine's callback. After the first one there is no status and no silent end: a broken
stream ends with an error event and an abnormal close, never with the terminal event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from serving.errors import EngineFailed, EngineTimeout, RequestError, Silent, UpstreamError
from serving.front import events
from serving.front.attempt import Started
from serving.front.continuation.story import Story
from serving.front.dialect import Dialect
from serving.front.eager import Wake
from serving.front.events import Usage
from serving.front.upstream import Reply
from serving.front.wire import GenerationRequest

_LONGEST_EVENT = 8 * 1024 * 1024
# In no event: each is looked into.
_NEVER = b"\n\n\n"


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
    """Relays one stream, from one engine or from several that continue each other.

    `done` happens when the attempt that is attached has ended; `broken_by` tells why, where it was before its time.
    """

    def __init__(self, request: GenerationRequest, client: Client, clock: Callable[[], float]) -> None:
        self._request = request
        self._dialect: Dialect = request.route.dialect
        # Several choices may share an event, which then counts as several: look into each.
        self._plain = self._dialect.plain if request.choices == 1 else _NEVER
        self._shows_usage = request.wants_usage
        self._client = client
        self._clock = clock
        self._rest = b""
        self._events = 0
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._error: RequestError | None = None
        self._first_at = self._last_at = 0.0
        # What is known for an engine that continues it; None where none can.
        self.story: Story | None = None
        self.done = Wake()
        self.broken_by: RequestError | None = None

    def attach(self, started: Started) -> None:
        """Relay this attempt: the first one, or one for the rest of the story."""
        self.done, self.broken_by, self._rest = Wake(), None, b""
        if self.story is not None:
            self.story.go_on()
        else:
            self._first_at = self._last_at = started.reply.first_at
            self.story = Story(self._request) if started.gives_ids else None
        started.reply.attach(self)
        self._client.bind(started.reply)

    def outcome(self) -> Outcome:
        """What was delivered so far."""
        return Outcome(self._usage, self._events, self._finish, self._first_at, self._last_at, self._error)

    def conclude(self) -> bool:
        """End a broken one of which the client has all but the last events; False where that is not known."""
        if self._finish is None or self.story is None or not self.story.may_go_on:
            return False
        self.done, self.broken_by = Wake(), None
        self._pass(events.split(self.story.ending())[0])
        return True

    def fail(self) -> None:
        """End a broken one: the client is told."""
        self._error = self.broken_by
        if self._error is not None:
            self._client.fail(self._error)

    def feed(self, piece: bytes) -> None:
        """Bytes of the engine, cut anywhere."""
        self._last_at = self._clock()
        if not self._rest and piece[-2:] == b"\n\n":
            count = piece.count(b"\n\n")
            if piece.count(self._plain) == count:
                self._events += count
                if self.story is None:
                    self._client.write(piece)
                elif told := self.story.take(piece):
                    self._client.write(told)
                return
        self._look_into(piece)

    def lost(self, error: UpstreamError) -> None:
        if isinstance(error, Silent):
            self._break(EngineTimeout("The engine went silent in the middle of the answer."))
        else:
            self._break(EngineFailed("The connection to the engine was lost in the middle of the answer."))

    def end(self) -> None:
        """The engine's body ended; without a terminal event that is a failure."""
        self._break(EngineFailed("The engine's stream ended before its answer did."))

    def _look_into(self, piece: bytes) -> None:
        if self.done.happened:
            return
        whole, self._rest = events.split(self._rest + piece)
        self._pass(whole if self.story is None else [self.story.tell(raw) for raw in whole])
        if len(self._rest) > _LONGEST_EVENT:
            self._break(EngineFailed("The engine sent an event without an end."))

    def _pass(self, whole: list[bytes]) -> None:
        out: list[bytes] = []
        for raw in whole:
            event = self._dialect.read(raw)
            self._finish = event.finish or self._finish
            self._usage = event.usage or self._usage
            if event.error or (event.done and not self._finish):
                self._pass_on(out)
                self._break(EngineFailed("The engine failed in the middle of the answer."))
                return
            if not event.usage_only or self._shows_usage:
                out.append(raw)
            if event.done:
                self._close(out)
                return
            self._events += not event.usage_only
        self._pass_on(out)

    def _pass_on(self, out: list[bytes]) -> None:
        if data := b"".join(out):
            self._client.write(data)

    def _close(self, out: list[bytes]) -> None:
        if not self.done.happened:
            self._client.finish(b"".join(out))
            self.done.set()

    def _break(self, error: RequestError) -> None:
        if not self.done.happened:
            # What still comes, and what a continuation says, is looked into.
            self._plain = _NEVER
            self.broken_by = error
            self.done.set()
