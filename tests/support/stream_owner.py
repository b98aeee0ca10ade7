"""A process that writes a stream and never ends it: `python -m tests.support.stream_owner URL TENANT ID EVENTS`."""

from __future__ import annotations

import asyncio
import sys

from serving.adapters.redis.state import RedisState
from serving.front.state.records import Key
from tests.support.redis_replica import PATIENT


async def main(url: str, tenant: str, stream: str, events: str) -> None:
    state = await RedisState.connect(url, PATIENT, "owner", lambda _key: None)
    writer = state.streams.open(Key(tenant, stream))
    for number in range(int(events)):
        writer.add(b"event %d\n\n" % number, 1)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
