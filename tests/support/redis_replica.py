"""Replicas' halves of a Redis: what the front holds of it, over and over in one test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from serving.adapters.redis.hot import RedisHot
from serving.adapters.redis.state import RedisState
from serving.front.state.records import Key, Opened, Session
from serving.settings import StateSettings

T = TypeVar("T")
# A slow machine is not a Redis that is away.
PATIENT = StateSettings(redis_timeout_seconds=10)
# For the tests in which it is.
QUICK = StateSettings(redis_timeout_seconds=0.4)
PATIENT_LEASE_SECONDS, QUICK_LEASE_SECONDS = 30.0, 0.6
_numbers = itertools.count()


@asynccontextmanager
async def replica(
    url: str, settings: StateSettings = PATIENT, on_cancel: Callable[[Key], None] = lambda _key: None
) -> AsyncIterator[RedisState]:
    """One replica, connected or trying to be."""
    patient = settings.redis_timeout_seconds >= PATIENT.redis_timeout_seconds
    lease_seconds = PATIENT_LEASE_SECONDS if patient else QUICK_LEASE_SECONDS
    state = await RedisState.connect(url, settings, f"replica-{next(_numbers)}", on_cancel, lease_seconds)
    try:
        yield state
    finally:
        await state.close()


async def until(probe: Callable[[], Awaitable[T]], within: float = 15.0) -> T:
    """The first true value of `probe`; an AssertionError after `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (value := await probe()):
        assert loop.time() < deadline, f"waited {within} s; last seen: {value!r}"
        await asyncio.sleep(0.01)
    return value


async def settled(hot: RedisHot) -> None:
    """Wait until it copies sessions, and trusts the copies."""
    key = Key("probe", f"probe-{next(_numbers)}")

    async def copies() -> bool:
        turn_id = f"turn-{next(_numbers)}"
        await hot.open(key, turn_id)
        await hot.fill(Opened(Session(key, 1.0), ()), turn_id)
        return await hot.open(key, turn_id) is not None

    await until(copies)
