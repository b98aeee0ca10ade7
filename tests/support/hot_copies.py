"""A session as a front copies it to Redis, for the tests of the hot store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.adapters.redis.hot import RedisHot
from serving.front.state.records import Key, Opened, Turn
from tests.contract.values import KEY, session, turn
from tests.support.redis_replica import PATIENT, replica, until
from tests.support.redis_server import RedisServer

HOT_TURNS = 8


@asynccontextmanager
async def two_hots(server: RedisServer) -> AsyncIterator[tuple[RedisHot, RedisHot]]:
    """Hot stores of two replicas, over an empty Redis."""
    server.flush()
    server.settle()
    settings = PATIENT.model_copy(update={"hot_turns": HOT_TURNS})
    async with replica(server.url, settings) as here, replica(server.url, settings) as there:
        yield here.hot, there.hot


def numbered(number: int, text: str = "text") -> Turn:
    return turn(f"t{number}", text, number=number, tokens=10, tokens_before=10 * (number - 1))


def past(version: int, key: Key = KEY) -> Opened:
    """A session of turns t1, t2, …"""
    return Opened(session(key.id, tenant=key.tenant), tuple(numbered(number) for number in range(1, version + 1)))


async def copied(hot: RedisHot, version: int, key: Key = KEY) -> None:
    """A copy that everybody trusts."""
    last, kept = numbered(version), past(version, key).turns[-HOT_TURNS:]

    async def done() -> bool:
        await hot.open(key, last.id)
        await hot.fill(past(version - 1, key), last.id)
        await hot.append(key, last)
        found = await hot.open(key, last.id)
        await hot.append(key, last)
        return found is not None and found.turns[-HOT_TURNS:] == kept

    await until(done)


async def turn_without_redis(hot: RedisHot, number: int) -> None:
    """What a front does for a turn that the durable store takes."""
    assert await hot.open(KEY, f"t{number}") is None
    await hot.fill(past(number - 1), f"t{number}")
    await hot.append(KEY, numbered(number))
