"""Everything that a front keeps in Redis, and what keeps it going in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from serving.adapters.redis.address import address
from serving.adapters.redis.connection import RedisConnection
from serving.adapters.redis.epoch import ASK, LEASE_SECONDS, Epoch
from serving.adapters.redis.hot import RedisHot
from serving.adapters.redis.hot_scripts import APPEND, FILL, OPEN
from serving.adapters.redis.stream_writer import Batches
from serving.adapters.redis.streams import CANCELS, RedisStreams
from serving.front.state.records import Key
from serving.settings import StateSettings

_log = logging.getLogger("tidegate.redis")


class RedisState:
    """The hot store and the streams of one replica over two connections, as a subscriber can do nothing else."""

    def __init__(
        self,
        url: str,
        settings: StateSettings,
        replica_id: str,
        on_cancel: Callable[[Key], None],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        where, timeout, clock = address(url), settings.redis_timeout_seconds, asyncio.get_running_loop().time
        self._connection = RedisConnection(where, timeout, scripts=(ASK, OPEN, APPEND, FILL))
        self._subscriber = RedisConnection(where, timeout, channel=CANCELS, on_message=self._told)
        self._epoch = Epoch(self._connection, clock, timeout_seconds=timeout, lease_seconds=lease_seconds)
        self._period_seconds = min(lease_seconds, settings.stream_ttl_seconds) / 4
        self._wanted = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self.hot = RedisHot(
            self._connection, self._epoch, turns=settings.hot_turns, ttl_seconds=settings.hot_ttl_seconds
        )
        batches = Batches(
            self._connection,
            replica_id.encode(),
            ttl_seconds=settings.stream_ttl_seconds,
            most_bytes=settings.stream_bytes,
        )
        self.streams = RedisStreams(batches, on_cancel, clock)

    @classmethod
    async def connect(
        cls,
        url: str,
        settings: StateSettings,
        replica_id: str,
        on_cancel: Callable[[Key], None],
        lease_seconds: float = LEASE_SECONDS,
    ) -> RedisState:
        """Raises `SettingsError`; a server that is not there is none: its work begins once it is."""
        state = cls(url, settings, replica_id, on_cancel, lease_seconds)
        await state._start()
        return state

    @property
    def is_up(self) -> bool:
        return self._connection.is_up

    @property
    def counts(self) -> dict[str, int]:
        """commands, failures, reconnects since the start."""
        both = (self._connection.counts, self._subscriber.counts)
        return {name: sum(getattr(counts, name) for counts in both) for name in ("commands", "failures", "reconnects")}

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self.streams.close()
        await self._subscriber.close()
        await self._connection.close()

    async def _start(self) -> None:
        try:
            await self._connection.start()
            await self._subscriber.start()
        except BaseException:
            await self._subscriber.close()
            await self._connection.close()
            raise
        self._connection.on_up = self._came_back
        self._subscriber.on_up = self.streams.listen
        await self._epoch.ask()
        self.streams.tick()
        self._ticker = asyncio.create_task(self._keep_going(), name="redis-state")
        self._ticker.add_done_callback(_report)

    async def _keep_going(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            timer = loop.call_later(self._period_seconds, self._wanted.set)
            await self._wanted.wait()
            timer.cancel()
            self._wanted.clear()
            await self._epoch.ask()
            self.streams.tick()
            # A connection that is dead without a word shows when it is used.
            if self._subscriber.is_up:
                self._subscriber.call((b"PING",))

    def _came_back(self) -> None:
        self.streams.claim()
        self._wanted.set()

    def _told(self, payload: bytes) -> None:
        self.streams.told(payload)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("task %s failed", task.get_name(), exc_info=task.exception())
