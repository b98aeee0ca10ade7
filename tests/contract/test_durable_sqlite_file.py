"""The SQLite store's file: what is refused, how its schema grows, and that it survives the processes on it."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from serving.adapters.sqlite import file as sqlite_file
from serving.adapters.sqlite.file import STEPS, Step
from serving.adapters.stores import create, open_store
from serving.errors import SettingsError
from serving.front.state.records import Turn
from serving.settings import StateSettings
from tests.contract.values import everything

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tidegate.db"


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (name)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("something else, which is longer than a header" * 100), "file is not a database"),
        (lambda path: path.mkdir(), "cannot "),
        (other_program, "is the database of another program"),
    ],
    ids=["text", "folder", "other program"],
)
async def test_what_is_not_its_file_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(path)

    with pytest.raises(SettingsError, match=f"front.store: .*{said}"):
        await open_store(f"sqlite:///{path}", StateSettings())
    assert path.is_dir() or b"schema_steps" not in path.read_bytes()


async def test_a_file_gets_the_steps_that_it_lacks_and_a_newer_one_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{path}"
    assert await create(url)
    added = Step("a column", ("ALTER TABLE sessions ADD COLUMN title TEXT",))
    monkeypatch.setattr(sqlite_file, "STEPS", (*STEPS, added))
    assert await create(url)
    assert not await create(url)

    monkeypatch.setattr(sqlite_file, "STEPS", STEPS)
    with pytest.raises(SettingsError, match="made by a newer tidegate \\(it has 'a column'\\)"):
        await open_store(url, StateSettings())


async def test_a_step_that_breaks_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{path}"
    await create(url)
    broken = Step("broken", ("ALTER TABLE sessions ADD COLUMN title TEXT", "CREATE TABLE sessions (x)"))
    monkeypatch.setattr(sqlite_file, "STEPS", (*STEPS, broken))

    with pytest.raises(SettingsError, match="already exists"):
        await create(url)
    monkeypatch.setattr(sqlite_file, "STEPS", STEPS)
    assert not await create(url)


def prepare_at(path: str, at: float) -> None:
    time.sleep(max(at - time.time(), 0))
    sqlite_file.prepare(path, 60)


def test_processes_that_open_a_new_file_at_the_same_moment_wait_for_each_other(path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        for number in range(60):
            moment = time.time() + 0.02
            opened = [processes.submit(prepare_at, f"{path}-{number}", moment) for _ in range(4)]
            for one in opened:
                one.result()


def spawn_writer(path: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.durable_writer", f"sqlite:///{path}", name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], lines: int) -> list[list[str]]:
    """What a writer told until SIGKILL, which comes after so many lines; its last line may be cut."""
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    rest = process.stdout.read()
    process.wait()
    return [line.split() for line in [*told, *rest.splitlines(keepends=True)] if line.endswith("\n")]


async def test_what_two_processes_acknowledged_before_sigkill_is_there_once_and_in_order(path: Path) -> None:
    writers = [spawn_writer(path, name) for name in ("one", "two")]
    told = [line for writer in writers for line in await asyncio.to_thread(kill_after, writer, 500)]

    store = await open_store(f"sqlite:///{path}", StateSettings())
    try:
        there: dict[str, list[Turn]] = {}
        for one in await store.sessions("acme", limit=99):
            there[one.key.id] = await everything(store, one.key)
    finally:
        await store.close()
    assert len(there) == 17
    for id, turns in there.items():
        assert [one.number for one in turns] == list(range(1, len(turns) + 1)), id
        assert len({one.id for one in turns}) == len(turns), id
    acknowledged = [(id, turn_id, int(number)) for id, turn_id, number in told]
    assert len(acknowledged) >= 1000
    assert all(there[id][number - 1].id == turn_id for id, turn_id, number in acknowledged)
