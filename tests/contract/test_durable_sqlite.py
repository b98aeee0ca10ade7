"""The SQLite store: what is its own, beside the contract of all durable stores."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.adapters.stores import open_store
from serving.errors import StoreDown
from serving.front.eager import Run
from serving.front.state.records import Item, Key, Turn
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings
from tests.contract.conftest import RETENTION_SECONDS, Clock
from tests.contract.values import AT, KEY, document, everything, filled, session, turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tidegate.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(path: Path, clock: Clock) -> AsyncIterator[DurableStore]:
    """Impatient: what does not answer is down after half a second."""
    store = await open_store(f"sqlite:///{path}", StateSettings(store_timeout_seconds=0.5), clock)
    yield store
    await store.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else writes to the file all the time."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def no_room_in(path: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the WAL has now."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = path.with_name(f"{path.name}-wal").stat().st_size + 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_others_lock_for_too_long_is_down_and_then_up_again(store: DurableStore, path: Path) -> None:
    stored = await filled(store, 1)
    with locked(path):
        with pytest.raises(StoreDown):
            await store.append(KEY, 1, turn("t2", "x"))
        assert await everything(store) == stored

    assert (await store.append(KEY, 1, turn("t2", "x"))).number == 2
    assert [one.id for one in await everything(store)] == ["t1", "t2"]


async def test_without_room_on_the_disk_it_is_down_and_keeps_what_it_acknowledged(
    store: DurableStore, path: Path
) -> None:
    await filled(store, 1)
    acknowledged = 1

    async def fill_up() -> None:
        nonlocal acknowledged
        for number in range(2, 1000):
            await store.append(KEY, acknowledged, turn(f"t{number}", "x" * 20_000))
            acknowledged = number

    with no_room_in(path), pytest.raises(StoreDown):
        await fill_up()
    assert acknowledged > 1
    assert [one.number for one in await everything(store)] == list(range(1, acknowledged + 1))
    assert (await store.append(KEY, acknowledged, turn("after", "x"))).number == acknowledged + 1


async def test_a_write_that_breaks_is_its_callers_trouble_only(store: DurableStore) -> None:
    def key(number: int) -> Key:
        return Key(KEY.tenant, f"s{number}")

    broken = Turn("t", AT, "chat", (Item("i", {"content": object()}),))
    outcomes = await asyncio.gather(
        *(
            store.append(key(number), 0, broken if number == 5 else turn("t", "x"), new=session(f"s{number}"))
            for number in range(10)
        ),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [TypeError if number == 5 else Turn for number in range(10)]
    assert [len(await everything(store, key(number))) for number in range(10)] == [int(n != 5) for n in range(10)]


async def test_flows_without_a_task_get_their_answers(store: DurableStore) -> None:
    done: asyncio.Queue[object] = asyncio.Queue()

    async def flow(number: int) -> None:
        key = Key(KEY.tenant, f"s{number}")
        stored = await store.append(key, 0, turn("t", "x"), new=session(key.id))
        opened = await store.open(key, 1)
        assert asyncio.current_task() is None
        done.put_nowait(opened is not None and opened.turns == (stored,))

    for number in range(20):
        asyncio.get_running_loop().call_soon(Run, flow(number), asyncio.get_running_loop())
    assert [await done.get() for _ in range(20)] == [True] * 20


async def test_a_flow_that_is_cancelled_or_breaks_is_not_the_others_trouble(store: DurableStore) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(lambda *_: None)
    await filled(store, 1)

    async def flow(then: Callable[[], object]) -> None:
        await store.open(KEY, 1)
        then()

    def start() -> None:
        cancelled = Run(flow(lambda: ended.set()), loop)
        Run(flow(lambda: 1 / 0), loop)
        Run(flow(lambda: loop.call_later(0.05, ended.set)), loop)
        cancelled.cancel()

    loop.call_soon(start)
    await asyncio.wait_for(ended.wait(), 10)
    assert (await store.append(KEY, 1, turn("t2", "x"))).number == 2


async def test_purging_empties_the_file_of_what_expired(store: DurableStore, clock: Clock, path: Path) -> None:
    for number in range(600):
        await store.append(Key(KEY.tenant, f"s{number}"), 0, turn("t", "x"), new=session(f"s{number}"))
    await store.put(document("d"))
    for number in range(3):
        clock.seconds += RETENTION_SECONDS * 0.6
        await store.append(KEY, number, turn(f"t{number}", "x"), new=session())
    shares = [await store.purge() for _ in range(5)]

    assert shares[0] > 0
    assert max(shares) < 1300
    assert shares[-1] == 0
    with sqlite3.connect(path) as db:
        counts = [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sessions", "turns", "documents")
        ]
    assert counts == [1, 2, 0]


async def test_a_deleted_session_leaves_nothing_in_the_file(store: DurableStore, path: Path) -> None:
    await filled(store, 3)
    await store.delete_session(KEY)

    with sqlite3.connect(path) as db:
        assert [db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("sessions", "turns")] == [
            (0,),
            (0,),
        ]


async def test_numbers_go_on_after_the_last_turn_though_a_clock_was_behind(
    store: DurableStore, path: Path, clock: Clock
) -> None:
    behind = await open_store(f"sqlite:///{path}", StateSettings(), lambda: clock() - 0.3 * RETENTION_SECONDS)
    await store.append(KEY, 0, turn("t1", "x", tokens=5), new=session())
    await behind.append(KEY, 1, turn("t2", "x", tokens=5))
    await behind.close()
    clock.seconds += 0.9 * RETENTION_SECONDS
    await store.purge()

    stored = await store.append(KEY, 2, turn("t3", "x"))
    assert (stored.number, stored.tokens_before) == (3, 10)


CALLS_IN_ORDER: list[Callable[[DurableStore], Awaitable[object]]] = [
    lambda store: store.append(KEY, 0, turn("t1", "x"), new=session()),
    lambda store: store.append(KEY, 1, turn("t2", "x")),
    lambda store: store.delete_items(KEY, 2),
    lambda store: store.append(KEY, 2, turn("t3", "x")),
]


async def test_writes_take_effect_in_the_order_in_which_they_were_made(store: DurableStore) -> None:
    await asyncio.gather(*(call(store) for call in CALLS_IN_ORDER))

    assert [(one.id, len(one.items)) for one in await everything(store)] == [("t1", 1), ("t2", 0), ("t3", 1)]
