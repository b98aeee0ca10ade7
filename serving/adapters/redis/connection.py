"""A connection to Redis that comes back by itself; while it is away, calls fail at once. It decides no command.

The waits between attempts grow from 0.1 to 2 s. A connection that answers too late is given up, see `redis_link`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

import hiredis

from serving.adapters.redis.address import Address
from serving.adapters.redis.greeting import Greeting, greet
from serving.adapters.redis.link import Call, Command, Counts, Link
from serving.adapters.redis.script import Script
from serving.errors import SettingsError, StoreDown

_log = logging.getLogger("tidegate.redis")
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0
# A server that lets in and hangs up is not asked ten times a second.
_STABLE_AFTER_SECONDS = 2.0
# Names, TCP and TLS take several round trips; one command takes one.
_SHORTEST_CONNECT_SECONDS = 1.0
# The server lives, but this connection to it is of no use: a former primary, or one that is about to load its data.
_USELESS = ("READONLY", "MASTERDOWN", "LOADING")


class RedisConnection:
    """`channel` makes it a subscriber, which gets `on_message`; such a connection takes no other command than PING."""

    def __init__(
        self,
        address: Address,
        timeout_seconds: float,
        *,
        scripts: Iterable[Script] = (),
        channel: bytes | None = None,
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        self.counts = Counts()
        self.on_message = on_message
        # Which life of which server answers; None while none does.
        self.server: Greeting | None = None
        self.on_up: Callable[[], None] = lambda: None
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._scripts = {script.sha: script for script in scripts}
        self._channel = channel
        self._link: Link | None = None
        self._down = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Try once and go on trying in the background. Raises `SettingsError` where no later attempt can succeed."""
        try:
            await self._connect()
        except StoreDown as error:
            _log.warning("redis %s is not there, going on without it: %s", self._address, error)
            self._down.set()
        self._keeper = asyncio.create_task(self._keep_up(), name="redis-connection")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        link, self._link = self._link, None
        if link is not None:
            link.close("closed")

    @property
    def is_up(self) -> bool:
        return self._link is not None

    def call(self, command: Command, on_reply: Callable[[Any], None] | None = None) -> Call:
        """Send a command; await the call, then look at its reply. One waiter."""
        call = Call(command, on_reply)
        self.counts.commands += 1
        if self._link is not None:
            self._link.call(call)
        else:
            call.finish(self.skip())
        return call

    def skip(self) -> StoreDown:
        """Count a command that is not sent."""
        self.counts.failures += 1
        return StoreDown("not connected")

    async def _connect(self) -> None:
        more: list[Command] = [("SCRIPT", "LOAD", script.text) for script in self._scripts.values()]
        if self._channel is not None:
            more.append(("SUBSCRIBE", self._channel))
        link: Link | None = None
        try:
            async with asyncio.timeout(max(self._timeout_seconds, _SHORTEST_CONNECT_SECONDS)):
                link = await self._address.open(lambda: Link(self, self._timeout_seconds))
                server = await greet(link, self._address, more)
            if not link.is_open:
                raise StoreDown("it hung up")
        except BaseException as error:
            if link is not None:
                link.close("refused")
            if isinstance(error, OSError | ValueError):
                raise StoreDown(str(error) or "no answer in time") from None
            raise
        self._link, self.server = link, server
        self._down.clear()
        self.on_up()

    async def _keep_up(self) -> None:
        clock = asyncio.get_running_loop().time
        wait, up_at = _FIRST_WAIT_SECONDS, clock()
        while True:
            await self._down.wait()
            if clock() - up_at >= _STABLE_AFTER_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            said = ""
            while self._link is None:
                await asyncio.sleep(max(_FIRST_WAIT_SECONDS, random.uniform(wait / 2, wait)))
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                said = await self._try_again(said)
            up_at = clock()

    async def _try_again(self, said: str) -> str:
        """Why it did not work, which the log says once."""
        try:
            await self._connect()
        except (StoreDown, SettingsError) as error:
            if str(error) != said:
                _log.warning("redis %s: %s", self._address, error)
            return str(error)
        self.counts.reconnects += 1
        _log.warning("redis %s is back", self._address)
        return ""

    # redis_link.Owner

    def refused(self, call: Call, error: hiredis.ReplyError) -> bool:
        text = str(error)
        if text.startswith("NOSCRIPT") and self._link is not None:
            _evalsha, sha, *rest = call.command
            call.command = (b"EVAL", self._scripts[bytes(sha)].text, *rest)  # type: ignore[arg-type]
            self._link.call(call)
            return True
        if self._link is not None and any(useless in text for useless in _USELESS):
            asyncio.get_running_loop().call_soon(self._link.close, text)
        return False

    def lost(self, link: Link, reason: str) -> None:
        if link is self._link:
            _log.warning("redis %s is away, going on without it: %s", self._address, reason)
            self._link = self.server = None
            self._down.set()
