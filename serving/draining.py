"""The end of a front: it serves on, then takes nothing new, then cuts what is left; it knows no request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from serving.front.state.running import Running
from serving.servers import Listener, Signals


class Drain(NamedTuple):
    """How long new requests are still taken, and how long those in flight have after that."""

    delay_seconds: float
    seconds: float


async def drain(
    times: Drain, clients: Listener, running: Running, signals: Signals, clock: Callable[[], float]
) -> None:
    """Return when nothing runs any more; a second signal cuts each wait short."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(signals.second.wait(), times.delay_seconds)
    deadline = clock() + times.seconds
    running.end_by(deadline)
    stopping = asyncio.create_task(clients.stop(times.seconds))
    at_once = asyncio.create_task(signals.second.wait())
    await asyncio.wait({stopping, at_once}, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not stopping.done():
        running.end_by(clock())
        await clients.stop(within_seconds=0)
        await stopping
    await running.end(0 if signals.second.is_set() else max(deadline - clock(), 0))
