"""Step 7, attempt: candidates become `Started`, an engine's first bytes; it retries before them and never after."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from serving.errors import Lost, Unreachable, UpstreamError
from serving.front import events, refusals, wire
from serving.front.continuation.rules import may_continue
from serving.front.retries import RetryBudget
from serving.front.route import Endpoint, Fleet, Load
from serving.front.upstream import Post, Reply, Upstream
from serving.front.wire import GenerationRequest
from serving.settings import RetrySettings

# Includes a 200 that is not what was asked for, and refusals of our own key.
_RETRY_STATUSES = frozenset({200, 401, 403, 408, 429, 500, 502, 503, 504})
# A request that broke this many engines breaks the next one too.
POISON_QUOTA = 2


class Trail(Protocol):
    """Is told of each attempt as it happens."""

    broken: int
    """Engines that died under this request so far."""

    @property
    def has_begun(self) -> bool:
        """An engine began to answer it: this is about the rest."""

    def sent(self, endpoint: Endpoint) -> None: ...

    def came_back(self, outcome: str) -> None:
        """`ok`, `refused`, an HTTP status, or the `UpstreamError` in lower case."""


class Started:
    """An attempt under way, counted in at its engine; its end counts it out and stops what was not read.

    One that `gives_ids` was asked for token ids beside the text.
    """

    __slots__ = ("endpoint", "gives_ids", "load", "reply")

    def __init__(self, endpoint: Endpoint, reply: Reply, load: Load, *, gives_ids: bool) -> None:
        load.in_flight += 1
        self.endpoint = endpoint
        self.reply = reply
        self.load = load
        self.gives_ids = gives_ids

    def __enter__(self) -> Started:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.load.in_flight -= 1
        if kind is None:
            self.reply.discard()
        else:
            self.reply.abort()

    def give_up(self) -> None:
        """End it unread."""
        self.load.in_flight -= 1
        self.reply.abort()


class Attempts:
    """Tries engines in order until one gives usable first bytes."""

    def __init__(self, upstream: Upstream, fleet: Fleet, retries: RetryBudget, settings: RetrySettings) -> None:
        self._upstream = upstream
        self._fleet = fleet
        self.retries = retries
        self._limit = settings.attempts
        self._continues = settings.continue_streams

    async def start(
        self,
        request: GenerationRequest,
        candidates: list[Endpoint],
        *,
        request_id: str,
        cache_salt: str,
        trail: Trail,
    ) -> Started:
        """Raises `EngineRefused`, `EngineFailed`, `EngineTimeout` or `NoEngine` once no attempt is left."""
        self.retries.earn()
        failure: UpstreamError | int | None = None
        asks_ids = request.stream and self._continues and may_continue(request)
        is_busy, untried = False, len(candidates)
        for number, endpoint in enumerate(candidates[: self._limit], start=1):
            if number > 1 and not self.retries.allows(failure):
                break
            trail.sent(endpoint)
            untried -= 1
            gives_ids = asks_ids and endpoint.is_vllm
            body = wire.for_engine(request, cache_salt if endpoint.is_vllm else None, token_ids=gives_ids)
            post = Post(request.route.path, request_id, body, request.stream, fresh=number > 1)
            # The rest of an answer may be sent to the dying engine that began it: it is lost with that, no cause of it.
            is_suspect = not (trail.has_begun and self._fleet.is_dying(endpoint))
            reply = self._upstream.send(endpoint, post)
            started = Started(endpoint, reply, self._fleet.load(endpoint), gives_ids=gives_ids)
            usable = False
            try:
                await reply.arrived
                failure = self._judge(started, request, trail)
                usable = failure is None
            finally:
                if not usable:
                    started.give_up()
            if usable:
                return started
            trail.broken += is_suspect and isinstance(failure, Lost)
            is_busy = is_busy or failure in refusals.BUSY
            if trail.broken >= POISON_QUOTA:
                break
        raise refusals.final(failure, may_repeat=trail.broken < POISON_QUOTA, untried=untried, is_busy=is_busy)

    def _judge(self, started: Started, request: GenerationRequest, trail: Trail) -> UpstreamError | int | None:
        """None when usable, else the failure; raises `EngineRefused` for the engine's verdict on the request."""
        reply = started.reply
        error, status = reply.error, reply.status
        if error is None:
            started.load.accepted(is_taken=True)
        is_answer = error is None and status == 200 and reply.is_stream == request.stream
        if is_answer and not (request.stream and _is_stillborn(reply, request)):
            started.load.dying_until = 0.0
            trail.came_back("ok")
            return None
        if error is None and status not in _RETRY_STATUSES:
            trail.came_back("refused")
            raise refusals.passed_on(status, reply.body, request)
        trail.came_back(type(error).__name__.lower() if error is not None else str(status))
        if error is None and status == 503 and not refusals.is_overload(reply.body):
            error = Unreachable("takes no requests now")
        if isinstance(error, Unreachable):
            started.load.accepted(is_taken=False)
        if isinstance(error, Lost):
            self._fleet.broke(started.endpoint)
        else:
            self._fleet.failed(started.endpoint)
        return error if error is not None else status


def _is_stillborn(reply: Reply, request: GenerationRequest) -> bool:
    """A stream whose first event says that it failed; nothing of it reached the client yet."""
    dialect = request.route.dialect
    if dialect.plain in reply.body:
        return False
    whole, _ = events.split(reply.body)
    if not whole:
        return False
    first = dialect.read(whole[0])
    return first.error is not None or (first.done and first.finish is None)
