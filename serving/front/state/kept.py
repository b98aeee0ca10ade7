"""A request that is kept, from its session to its commit: claims its key, runs without its client, ends in one write.

A turn is kept when it was answered to its end. When the client left in the middle of the answer, it is kept as far as
the answer got and marked incomplete. When the answer failed, it is dropped: its client sends it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from serving.errors import (
    Cancelled,
    ClientLeft,
    Conflict,
    EngineRefused,
    InternalError,
    RequestError,
)
from serving.front.auth import Caller
from serving.front.dialect import Keeps
from serving.front.events import Usage
from serving.front.relay import Outcome
from serving.front.state import stored
from serving.front.state.background import Background
from serving.front.state.commit import Commit, Commits
from serving.front.state.conversation import Conversation
from serving.front.state.idempotency import Claim, Idempotency, Remembered, taken_over
from serving.front.state.keep import Keep
from serving.front.state.keeper import Keeper, Sink
from serving.front.state.lease import Leases
from serving.front.state.records import Key, Turn
from serving.front.state.running import Running
from serving.front.state.session import Sessions
from serving.front.state.stores import StreamLog, StreamWriter
from serving.front.state.summaries import Summaries
from serving.front.wire import GenerationRequest

_log = logging.getLogger("tidegate.front")


class Client(Sink, Protocol):
    """The client of one request, who may leave."""

    outlives_client: bool

    @property
    def at(self) -> float: ...

    @property
    def stopped_by(self) -> RequestError | None: ...

    @property
    def disconnected(self) -> bool: ...

    @property
    def is_alone(self) -> bool: ...

    def stop(self, error: RequestError) -> None: ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps: the owners of sessions, commits, idempotency keys, stream logs and running generations."""

    sessions: Sessions
    commits: Commits
    idempotency: Idempotency
    summaries: Summaries
    leases: Leases
    running: Running
    streams: StreamLog | None
    now: Callable[[], float]
    clock: Callable[[], float]

    async def begin(self, caller: Caller, request: GenerationRequest, client: Client, request_id: str) -> Kept | None:
        """Claim the idempotency key and open the session; None when the key's answer was there and is given already.

        Raises `NotFound`, `Conflict`, `InvalidRequest`, `StateUnavailable`.
        """
        keep = request.keep
        assert keep is not None
        claim = None
        if keep.idempotency_key is not None:
            found = await self.idempotency.claim(
                caller.team, keep, _user(request), lost=lambda: client.stop(taken_over())
            )
            if isinstance(found, Remembered):
                _replay(found, client, keep)
                return None
            claim = found
        try:
            turn_id = claim.turn_id if claim is not None else f"turn_{request_id}"
            conversation = await self.sessions.open(caller, request, turn_id)
        except BaseException as error:
            if claim is not None:
                await claim.release(error)
            raise
        return Kept(self, client, conversation, claim, Key(caller.team, conversation.response_id or request_id))


class Kept:
    """`async with` ends what was begun: an answer that was not committed is dropped, or kept as incomplete."""

    def __init__(
        self, keeping: Keeping, client: Client, conversation: Conversation, claim: Claim | None, name: Key
    ) -> None:
        self._keeping = keeping
        self._client = client
        self._conversation = conversation
        self._claim = claim
        self._name = name
        self._background: Background | None = None
        self._committed = False
        self._failure: RequestError | None = None
        self.request = conversation.request
        self.keeper = self._keeper(conversation.keep)

    async def start(self, headers: bytes) -> None:
        """From here on the client waits for an answer, or has one and need not wait. Raises `StateUnavailable`."""
        keep, client = self._conversation.keep, self._client
        client.begin(headers + _session_header(keep), stream=self.request.stream)
        self.keeper.is_stream = self.request.stream
        if keep.background:
            store, leases = self._keeping.commits.store, self._keeping.leases
            self._background = await Background.begin(store, leases, self._conversation, self._cancelled)
            if not self.request.stream:
                self.keeper.answer_early(stored.accepted(self._background.document))
        if keep.outlives_client:
            client.outlives_client = True
            self._keeping.running.add(self._name, client)

    @property
    def source(self) -> str:
        """The store that had the history."""
        return self._conversation.source

    @property
    def history_tokens(self) -> int:
        """What the history before it costs, about."""
        return self._conversation.sent_tokens

    def shorten(self, refused: EngineRefused) -> bool:
        """Send less history, where an engine found the prompt too long; False when that is not it."""
        shorter = self._keeping.sessions.fitting.shorter(self._conversation) if refused.is_too_long else None
        if shorter is None:
            return False
        self._conversation, self.request = shorter, shorter.request
        return True

    async def commit(self, outcome: Outcome) -> float | None:
        """Write the turn and let the answer's end go; the seconds that the client waited for the store.

        Raises `Conflict`, `NotFound`, `StateUnavailable`. None for an answer that failed: there is nothing to keep.
        """
        if outcome.error is not None:
            self._failure = outcome.error
            return None
        keeping, began = self._keeping, self._keeping.clock()
        turn = await self._write(outcome.usage)
        self._committed = True
        waited = keeping.clock() - began
        if turn is not None and (job := keeping.sessions.fitting.summary_due(self._conversation, turn)) is not None:
            keeping.summaries.want(job)
        if outcome.usage is not None:
            keeping.sessions.fitting.learn(self._conversation, outcome.usage)
        self.keeper.release()
        if self._claim is not None:
            keeping.commits.spawn(self._claim.done())
        return waited

    async def __aenter__(self) -> Kept:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._keeping.running.remove(self._name)
        if self._committed:
            return
        why = self._why(error)
        self.keeper.end_log(why)
        if isinstance(why, ClientLeft):
            await self._keep_partial()
        if self._background is not None:
            await self._background.fail(why)
        if self._claim is not None:
            await self._claim.release(error)

    async def _write(self, usage: Usage | None) -> Turn | None:
        try:
            return await self._apply(await self._due(usage))
        except Conflict as conflict:
            if conflict.code != Conflict.code or not self._conversation.may_branch:
                raise
            self._conversation = self._keeping.sessions.branched(self._conversation)
            return await self._apply(await self._due(usage))

    async def _apply(self, due: Commit) -> Turn | None:
        if self._claim is not None:
            await self._claim.answered(Remembered(self.keeper.whole(), self.request.stream), due)
        return await self._keeping.commits.apply(due)

    def _keeper(self, keep: Keep) -> Keeper:
        is_response = self.request.route.keeps is Keeps.RESPONSES
        keeper = Keeper(
            self._client,
            self.request.route,
            stored.changes(self._conversation) if is_response else None,
            self._open_log if keep.resumable or keep.background else _no_log,
            numbers_events=keep.resumable and not is_response,
        )
        if self._claim is not None:
            keeper.keep_bytes()
        return keeper

    def _why(self, error: BaseException | None) -> RequestError:
        """What ended a request that was not committed."""
        raised = error if isinstance(error, RequestError) else None
        stopped = self._client.stopped_by if isinstance(error, asyncio.CancelledError) else None
        return stopped or raised or self._failure or InternalError("The server failed on this request.")

    async def _due(self, usage: Usage | None) -> Commit:
        if self._conversation.key is None and not self._conversation.keep.store:
            return Commit()
        answer = self.keeper.read()
        begun = await self._background.end() if self._background is not None else None
        return stored.commit(self._conversation, answer, usage, begun, self._keeping.now())

    async def _keep_partial(self) -> None:
        """The client has seen this much and left."""
        if self._conversation.key is None or not self.keeper.delivered:
            return
        try:
            await self._keeping.commits.apply(await self._due(None))
        except RequestError as error:
            _log.warning("an incomplete turn was not kept: %s", error.code)

    def _cancelled(self) -> None:
        self._client.stop(Cancelled("The response was cancelled."))

    def _open_log(self, first: bytes) -> StreamWriter | None:
        streams, name = self._keeping.streams, self._name
        if streams is None:
            return None
        stream_id = self._conversation.response_id or stored.id_in(first)
        return streams.open(Key(name.tenant, stream_id)) if stream_id else None


def _user(request: GenerationRequest) -> str | None:
    user = request.body.get("user")
    return user if isinstance(user, str) else None


def _no_log(_: bytes) -> StreamWriter | None:
    return None


def _session_header(keep: Keep) -> bytes:
    return b"x-session-id: %b\r\n" % keep.session.encode() if keep.session else b""


def _replay(remembered: Remembered, client: Client, keep: Keep) -> None:
    client.begin(b"idempotent-replayed: true\r\n" + _session_header(keep), stream=remembered.is_stream)
    (client.finish if remembered.is_stream else client.answer)(remembered.body)
