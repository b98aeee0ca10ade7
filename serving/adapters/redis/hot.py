"""The hot store in Redis: a copy of each session's last turns under one hash tag, which may vanish at any time.

What may be trusted, `redis_epoch` says; what happens inside Redis, `redis_hot_scripts`.
"""

from __future__ import annotations

import logging
from typing import Any

from serving.adapters.redis.connection import RedisConnection
from serving.adapters.redis.epoch import Epoch
from serving.adapters.redis.hot_scripts import APPEND, FILL, OPEN
from serving.adapters.redis.link import Call
from serving.adapters.redis.turns import decode_session, decode_turns, encode_session, encode_turn, tagged
from serving.front.state.records import Key, Opened, Turn

_log = logging.getLogger("tidegate.redis")
# A larger session is read from the durable store: a copy would hold up everybody else's commands.
_MOST_BYTES = 1024 * 1024
# Lua's unpack has a limit.
_MOST_TURNS = 1000
# Turns between `open` and `fill`; one that never fills leaves its entry until it is the oldest.
_MOST_OPENED = 4096


class RedisHot:
    """`HotStore`. A write that failed begins a new epoch, as copies may lack what it said."""

    def __init__(self, connection: RedisConnection, epoch: Epoch, *, turns: int, ttl_seconds: float) -> None:
        self._connection = connection
        self._epoch = epoch
        self._turns = min(turns, _MOST_TURNS)
        self._ttl = round(ttl_seconds * 1000)
        # The life of the key that a turn found without a copy, by the turn's id.
        self._lives: dict[str, bytes] = {}

    async def open(self, key: Key, turn_id: str) -> Opened | None:
        names = self._names(key)
        if names is None:
            return None
        trusted = self._epoch.is_trusted
        marked = self._connection.call(OPEN.on(names, _id(turn_id), self._ttl))
        # Asked for beside the script, as Lua takes ten times as long to hand them on.
        turns = self._connection.call((b"LRANGE", names[1], 0, -1))
        await turns
        if type(marked.reply) is bytes:
            self._remember(turn_id, marked.reply)
        if not trusted or type(marked.reply) is not list:
            return None
        session, first, last = marked.reply
        opened = _opened(key, session, turns)
        # The two keys may be of different times.
        complete = opened is not None and opened.version == int(last) == int(first) + len(opened.turns) - 1
        return opened if complete else None

    async def fill(self, opened: Opened, turn_id: str) -> None:
        life = self._lives.pop(turn_id, b"")
        names = self._names(opened.session.key)
        if names is None:
            return
        copied = _encode(opened, self._turns) if self._epoch.is_trusted else []
        if copied is None:
            self._connection.call((b"UNLINK", *names), self._written)
        head = (_id(turn_id), self._ttl, life, repr(opened.session.created_at), opened.version)
        await self._connection.call(FILL.on(names, *head, *(copied or ())))

    async def append(self, key: Key, turn: Turn) -> None:
        appended = self._append(key, turn)
        if appended is not None:
            await appended

    async def append_and_read(self, key: Key, turn: Turn, limit: int) -> Opened | None:
        """`append`; the newest `limit` turns come back in the same round trip, where there is a copy."""
        names, appended = self._names(key), self._append(key, turn)
        if names is None or appended is None:
            return None
        turns = self._connection.call((b"LRANGE", names[1], -limit, -1))
        await turns
        return _opened(key, appended.reply, turns) if type(appended.reply) is bytes else None

    async def forget(self, key: Key) -> None:
        forgotten = self._forget(key)
        if forgotten is not None:
            await forgotten

    def _append(self, key: Key, turn: Turn) -> Call | None:
        names = self._names(key)
        if names is None:
            self._written(self._connection.skip())
            return None
        try:
            blob = encode_turn(turn)
        except TypeError:
            return self._forget(key)
        arguments = (_id(turn.id), self._ttl, turn.number, blob, self._turns, _MOST_BYTES)
        return self._connection.call(APPEND.on(names, *arguments), self._written)

    def _forget(self, key: Key) -> Call | None:
        names = self._names(key)
        if names is None:
            self._written(self._connection.skip())
            return None
        return self._connection.call((b"UNLINK", *names), self._written)

    def _names(self, key: Key) -> tuple[bytes, bytes] | None:
        epoch = self._epoch.name
        if epoch is None:
            return None
        name = tagged(key, b"hot1:" + epoch)
        return name, name + b":turns"

    def _remember(self, turn_id: str, life: bytes) -> None:
        self._lives[turn_id] = life
        if len(self._lives) > _MOST_OPENED:
            del self._lives[next(iter(self._lives))]

    def _written(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            self._epoch.lose()


def _id(turn_id: str) -> bytes:
    return turn_id.encode("utf-8", "surrogatepass")


def _opened(key: Key, session: bytes, turns: Call) -> Opened | None:
    """None for a failed call, and for what another program left under this name."""
    if type(turns.reply) is not list:
        return None
    try:
        return Opened(decode_session(key, session), decode_turns(turns.reply))
    except (TypeError, ValueError, LookupError):
        _log.warning("the copy of a session is unreadable")
        return None


def _encode(opened: Opened, most: int) -> list[bytes | int] | None:
    """First number, bytes, session, turns; None when it is too much for a copy."""
    turns = opened.turns[-most:]
    try:
        blobs = [encode_turn(turn) for turn in turns]
        session = encode_session(opened.session)
    except TypeError:
        return None
    size = len(session) + sum(map(len, blobs))
    if size > _MOST_BYTES:
        return None
    return [turns[0].number if turns else 1, size, session, *blobs]
