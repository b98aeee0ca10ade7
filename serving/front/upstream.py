"""What the front needs of whoever talks to engines: send one POST, hand its answer over as it comes; no policy."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from serving.errors import UpstreamError
from serving.front.eager import Wake
from serving.front.route import Endpoint


class Sink(Protocol):
    """Takes a stream's bytes as they come."""

    def feed(self, piece: bytes) -> None: ...

    def end(self) -> None: ...

    def lost(self, error: UpstreamError) -> None: ...


class Reply(Protocol):
    """An engine's answer on its way. `body` is whole for everything but a stream with status 200."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    @property
    def is_stream(self) -> bool: ...

    @property
    def first_at(self) -> float: ...

    @property
    def arrived(self) -> Wake:
        """Happens at the first event of a stream, else with the whole answer, or with `error`."""

    @property
    def error(self) -> UpstreamError | None: ...

    def attach(self, sink: Sink) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def discard(self) -> None: ...

    def abort(self) -> None: ...


class Post(NamedTuple):
    """What an engine is sent. `fresh` asks for a new connection."""

    path: str
    request_id: str
    body: bytes
    stream: bool
    fresh: bool


class Upstream(Protocol):
    """Sends one POST to one engine."""

    def send(self, endpoint: Endpoint, post: Post) -> Reply: ...
