"""What each durable store appends per second with 64 turns in flight, and how long one append and one read take.

One loop, one store object, as in a front; the servers are the ones that the tests run against.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.report import Bar, table
from serving.adapters.stores import open_store
from serving.front.state.records import Item, Key, Session, Turn
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings
from tests.support.dynamodb_server import DynaliteServer, MotoServer
from tests.support.postgres_server import PostgresServer
from tests.support.sqlite_server import SqliteServer

IN_FLIGHT = 64
READ = 20
_HEADERS = (
    "store",
    "appends/s, 64 in flight",
    "append p50 / p99 ms, 64",
    "append p50 ms, 1",
    "read 20 p50 / p99 ms, 64",
)
SERVERS = {"SQLite": SqliteServer, "PostgreSQL": PostgresServer, "moto": MotoServer, "dynalite": DynaliteServer}


@dataclass(frozen=True)
class Figures:
    """Milliseconds; `per_second` appends."""

    per_second: float
    appends_ms: Sequence[float]
    alone_ms: Sequence[float]
    reads_ms: Sequence[float]

    def row(self, name: str) -> list[str]:
        both, reads = sorted(self.appends_ms), sorted(self.reads_ms)
        return [
            name,
            f"{self.per_second:,.0f}",
            f"{_at(both, 0.5):.2f} / {_at(both, 0.99):.2f}",
            f"{_at(sorted(self.alone_ms), 0.5):.2f}",
            f"{_at(reads, 0.5):.2f} / {_at(reads, 0.99):.2f}",
        ]


def measure(seconds: float) -> tuple[str, list[Bar], list[str]]:
    """A table, SQLite's bar, and notes on stores that this machine cannot run."""
    rows, notes, figures = [], [], {}
    for name, server in SERVERS.items():
        if (missing := server.missing()) is not None:
            notes.append(f"{name} IS MISSING: {missing}")
            continue
        with _running(server) as url:
            figures[name] = uvloop.run(_load(url, seconds))
        rows.append(figures[name].row(name))
        print(f"  {name}: {figures[name].per_second:,.0f} appends/s", flush=True)
    sqlite = figures.get("SQLite")
    bar = Bar("SQLite's durable appends per second", sqlite.per_second if sqlite else None, 5000, "/s", at_least=True)
    return table(_HEADERS, rows), [bar], notes


@contextlib.contextmanager
def _running(server: type[SqliteServer | PostgresServer | MotoServer | DynaliteServer]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as running:
        os.environ.update(getattr(running, "environ", {}))
        yield running.fresh()


async def _load(url: str, seconds: float) -> Figures:
    store = await open_store(url, StateSettings(store_timeout_seconds=30), time.time)
    try:
        alone_ms, _ = await _run(1, seconds / 4, lambda lane, number: _append(store, f"alone-{lane}", number))
        appends_ms, spent = await _run(IN_FLIGHT, seconds, lambda lane, number: _append(store, f"lane-{lane}", number))
        reads_ms, _ = await _run(IN_FLIGHT, seconds / 2, lambda lane, _: store.open(Key("bench", f"lane-{lane}"), READ))
    finally:
        await store.close()
    return Figures(len(appends_ms) / spent, appends_ms, alone_ms, reads_ms)


async def _run(
    lanes: int, seconds: float, operation: Callable[[int, int], Awaitable[object]]
) -> tuple[list[float], float]:
    """Milliseconds of each operation, and how long all took."""
    taken: list[float] = []
    begun = time.perf_counter()

    async def lane(number: int) -> None:
        count = 0
        while (at := time.perf_counter()) - begun < seconds:
            await operation(number, count)
            taken.append((time.perf_counter() - at) * 1000)
            count += 1

    await asyncio.gather(*map(lane, range(lanes)))
    return taken, time.perf_counter() - begun


async def _append(store: DurableStore, session: str, number: int) -> None:
    """A question and an answer, 500 bytes together."""
    now, key = time.time(), Key("bench", session)
    items = tuple(
        Item(f"msg_{session}_{number}_{role}", {"role": role, "content": "x" * 200}) for role in ("user", "assistant")
    )
    turn = Turn(f"turn_{session}_{number}", now, "chat", items, tokens=100)
    await store.append(key, number, turn, new=Session(key, now))


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
