"""Wires what keeps: opens the stores that the settings name and joins them to sessions, commits and streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from serving.adapters.redis.absent import NoHotStore
from serving.adapters.redis.state import RedisState
from serving.adapters.stores import default_store_url, open_store
from serving.errors import StoreDown
from serving.front.attempt import Attempts
from serving.front.cold.parts import State
from serving.front.eager import Run
from serving.front.ids import Mint
from serving.front.route import Fleet
from serving.front.state import history
from serving.front.state.asking import Asking
from serving.front.state.commit import Commits
from serving.front.state.fitting import Fitting
from serving.front.state.idempotency import Idempotency
from serving.front.state.kept import Keeping
from serving.front.state.lease import Leases
from serving.front.state.running import Running
from serving.front.state.session import Sessions
from serving.front.state.stores import DurableStore, HotStore
from serving.front.state.summaries import Summaries
from serving.front.state.token_ratio import TokenRatio
from serving.settings import FrontSettings

_log = logging.getLogger("tidegate.front")
_PURGE_SECONDS = 60.0


class KeptState:
    """The open stores of one replica, and what stands on them."""

    def __init__(
        self, settings: FrontSettings, store: DurableStore, redis: RedisState | None, running: Running, mint: Mint
    ) -> None:
        self._settings = settings
        self._store = store
        self._redis = redis
        self._mint = mint
        self._summaries: Summaries | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self.running = running
        self._hot: HotStore = redis.hot if redis is not None else NoHotStore()

    @classmethod
    async def open(cls, settings: FrontSettings, mint: Mint, running: Running) -> KeptState:
        """Raises `SettingsError` when a store cannot be used as it is."""
        store = await open_store(settings.store or default_store_url(os.environ), settings.state, time.time)
        redis = None
        if settings.redis is not None:
            try:
                redis = await RedisState.connect(settings.redis, settings.state, mint("replica"), running.cancel)
            except BaseException:
                await store.close()
                raise
        return cls(settings, store, redis, running, mint)

    @property
    def redis_is_up(self) -> bool | None:
        """None without Redis."""
        return self._redis.is_up if self._redis is not None else None

    def keeping(self, fleet: Fleet, attempts: Attempts, clock: Callable[[], float]) -> Keeping:
        """What the flow keeps with."""
        settings = self._settings
        commits = Commits(self._store, self._hot, self._spawn)
        sessions = Sessions(
            store=self._store,
            hot=self._hot,
            mint=self._mint,
            now=time.time,
            fitting=Fitting(
                fleet.context_length, history.from_settings(settings.state.history), TokenRatio(), self._mint
            ),
            hot_turns=settings.state.hot_turns,
        )
        asking = Asking(fleet, attempts, self._mint)
        self._summaries = Summaries(asking, self._store, sessions.ending_at, time.time)
        leases = Leases(self._store, settings.state.lease_seconds, time.time)
        remembered = Idempotency(
            commits, leases, settings.state.idempotency_seconds, settings.timeouts.first_byte_seconds, self._mint
        )
        streams = self._redis.streams if self._redis is not None else None
        return Keeping(sessions, commits, remembered, self._summaries, leases, self.running, streams, time.time, clock)

    def state(self) -> State:
        """What the cold routes read and change."""
        settings = self._settings
        return State(
            store=self._store,
            hot=self._hot,
            streams=self._redis.streams if self._redis is not None else None,
            running=self.running,
            mint=self._mint,
            now=time.time,
            limits=settings.limits,
            heartbeat_seconds=settings.heartbeat_seconds,
            total_seconds=settings.timeouts.total_seconds,
        )

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Begin at once where no Task runs; inside one, a time-out would take that Task for its own."""
        loop = asyncio.get_running_loop()
        if asyncio.current_task() is None:
            Run(coroutine, loop)
            return
        task = loop.create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    async def purge(self) -> None:
        """Delete what has expired, for ever."""
        while True:
            await asyncio.sleep(_PURGE_SECONDS)
            with contextlib.suppress(StoreDown):
                await self._store.purge()

    async def close(self) -> None:
        if self._summaries is not None:
            await self._summaries.close()
        if self._redis is not None:
            await self._redis.close()
        await self._store.close()
