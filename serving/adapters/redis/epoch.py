"""Which copies in Redis may be trusted: those of the current epoch, whose name is part of every copy's key.

A replica that could not write to Redis what it wrote to the durable store, and a server that may have come back with
old data, begin a new epoch. Each replica asks for its name twice a second and uses no name that it read longer ago
than a lease; nobody reads copies of an epoch younger than a lease. So no copy misses what a replica did under an older
one. It knows nothing of sessions.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from serving.adapters.redis.connection import RedisConnection
from serving.adapters.redis.script import Script

_KEY = b"tg:epoch"
LEASE_SECONDS = 2.0

# ARGV: a new name, the server's run, the name known so far, whether writes were lost. Empty: nothing to say.
# The name that replicas know is kept when only it was lost, e.g. by FLUSHALL: no copy has outlived it.
# Returns the name and its age in seconds.
ASK = Script("""
local name, run, at = unpack(redis.call('HMGET', KEYS[1], 'name', 'run', 'at'))
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
if not name and ARGV[3] ~= '' and ARGV[4] == '' then
  name, run, at = ARGV[3], ARGV[2], 0
  redis.call('HSET', KEYS[1], 'name', name, 'run', run, 'at', 0)
elseif not name or ARGV[4] ~= '' or (ARGV[2] ~= '' and run ~= ARGV[2]) then
  name, at = ARGV[1], now
  redis.call('HSET', KEYS[1], 'name', name, 'run', ARGV[2], 'at', string.format('%.6f', now))
end
return {name, tostring(now - tonumber(at))}
""")


class Epoch:
    """As one replica knows it."""

    def __init__(
        self, connection: RedisConnection, clock: Callable[[], float], *, timeout_seconds: float, lease_seconds: float
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._lease_seconds = lease_seconds
        # What is in flight when a lease ends may arrive as late as its time-out.
        self._settle_seconds = lease_seconds + 2 * timeout_seconds
        self._name: bytes | None = None
        self._server: object = None
        self._lost = False
        self._read_at = 0.0
        self._usable_at = 0.0

    @property
    def name(self) -> bytes | None:
        """What writes go under; None while they would be lost."""
        is_current = self._connection.server is self._server and self._clock() - self._read_at <= self._lease_seconds
        return self._name if is_current and not self._lost else None

    @property
    def is_trusted(self) -> bool:
        """Copies under `name` may be read and made."""
        return self._clock() >= self._usable_at

    def lose(self) -> None:
        """A write did not, or may not have, reached Redis."""
        self._lost = True

    async def ask(self) -> None:
        """Learn the current name, or begin a new epoch where one is needed. Never raises."""
        server, sent_at = self._connection.server, self._clock()
        if server is None:
            return
        # The run is told once per connection: behind a proxy, replicas may see several.
        run, lost = server.run if server is not self._server else "", self._lost
        call = self._connection.call(
            ASK.on((_KEY,), secrets.token_hex(6), run, self._name or b"", b"lost" if lost else b"")
        )
        await call
        if isinstance(call.reply, Exception):
            return
        name, age = call.reply
        if name != self._name:
            self._name = name
            self._usable_at = self._clock() + max(0.0, self._settle_seconds - max(0.0, float(age)))
        self._server, self._read_at = server, sent_at
        if lost:
            # What was lost meanwhile is in the durable store before the first copy of the new epoch is made.
            self._lost = False
