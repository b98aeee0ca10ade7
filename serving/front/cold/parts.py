"""What the cold routes over conversations and stored answers share: stores, ids, time, limits; it knows no route."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from serving.front.ids import Mint
from serving.front.state.records import Key
from serving.front.state.running import Running
from serving.front.state.stores import DurableStore, HotStore, StreamLog
from serving.settings import LimitSettings


@dataclass(frozen=True, slots=True)
class State:
    """`now` is seconds since the epoch; `streams` is None where no Redis is configured.

    A resumed stream gets a comment after `heartbeat_seconds` of silence and ends after `total_seconds` in any case.
    """

    store: DurableStore
    hot: HotStore
    streams: StreamLog | None
    running: Running
    mint: Mint
    now: Callable[[], float]
    limits: LimitSettings
    heartbeat_seconds: float
    total_seconds: float


@contextlib.asynccontextmanager
async def changing(state: State, session: Key) -> AsyncIterator[None]:
    """A write to a session. Its hot copy bears a mark until it is dropped, so nobody trusts it if we die in between."""
    await state.hot.open(session, state.mint("turn"))
    try:
        yield
    finally:
        await state.hot.forget(session)
