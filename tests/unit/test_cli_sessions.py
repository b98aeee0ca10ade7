"""`tidegate db` and `tidegate sessions`, on a real SQLite file."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from serving.adapters.redis.state import RedisState
from serving.adapters.stores import default_store_url, open_store
from serving.cli import main
from serving.front.state import commit
from serving.front.state.commit import Commit
from serving.front.state.records import KINDS, Document, Item, Key, Kind, Opened, Session, Turn
from serving.front.state.stores import DurableStore, Page
from serving.settings import StateSettings
from tests.support.redis_server import RedisServer

T = TypeVar("T")
AT = 1_750_000_000.25


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/tidegate.db"


def on(url: str, work: Callable[[DurableStore], Awaitable[T]]) -> T:
    """What `work` gives on the store."""

    async def run() -> T:
        store = await open_store(url, StateSettings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def turn(id: str, text: str) -> Turn:
    return Turn(id, AT, "chat", (Item(f"{id}_0", {"role": "user", "content": text}),), tokens=3)


async def fill(store: DurableStore) -> None:
    """Sessions a1 of ann and b1 of bob, both with two turns and each kind of document; and another tenant's a1."""
    for tenant, session, user in (("acme", "a1", "ann"), ("acme", "b1", "bob"), ("evil", "a1", "ann")):
        key = Key(tenant, session)
        for number in range(2):
            await store.append(key, number, turn(f"t{number}", f"é {number}"), new=Session(key, AT, user))
        pending = commit.encode(Commit(key, 2, turn("t2", "pending")))
        documents: dict[Kind, tuple[str, dict[str, Any], str | None]] = {
            "response": (f"resp_{session}", {"session": session}, None),
            "chat_completion": (f"chatcmpl_{session}", {"session": session}, None),
            "summary": (session, {"text": "…"}, None),
            "idempotency": (f"key_{session}", {"state": "answered", "commit": pending}, None),
        }
        for kind, (id, body, owner) in documents.items():
            await store.put(Document(Key(tenant, id), kind, body, AT, owner))
        await store.put(Document(Key(tenant, f"resp_of_{user}"), "response", {"session": None}, AT, user))


async def kept(store: DurableStore, tenant: str = "acme") -> dict[str, list[str]]:
    """Ids of all that a tenant has."""
    found = {kind: [one.key.id for one in await store.documents(kind, tenant, Page(99))] for kind in KINDS}
    sessions = [one.key.id for one in await store.sessions(tenant, limit=99)]
    return {name: ids for name, ids in {"session": sessions, **found}.items() if ids}


ONLY_BOBS = {
    "session": ["b1"], "response": ["resp_b1", "resp_of_bob"], "chat_completion": ["chatcmpl_b1"], "summary": ["b1"],
    "idempotency": ["key_b1"],
}  # fmt: skip


def exported(capsys: pytest.CaptureFixture[str], url: str, *scope: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["sessions", "export", "--store", url, *scope]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_init_makes_the_file_and_its_folder_and_says_so_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "folder" / "tidegate.db"
    for said in ("made", "nothing to do"):
        assert main(["db", "init", "--store", f"sqlite:///{path}"]) == 0
        assert capsys.readouterr().out == f"the SQLite file {path}: {said}\n"

    assert path.stat().st_mode & 0o077 == 0


def test_without_a_store_it_is_the_file_in_the_state_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "my state #1"))
    assert main(["db", "init"]) == 0

    path = tmp_path / "my state #1" / "tidegate" / "tidegate.db"
    assert path.exists()
    assert default_store_url({"XDG_STATE_HOME": str(tmp_path)}) == f"sqlite:///{tmp_path}/tidegate/tidegate.db"


@pytest.mark.parametrize("action", [["db", "init"], ["sessions", "export", "--tenant", "acme"]])
def test_a_store_that_cannot_be_used_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, action: list[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert main([*action, "--store", f"sqlite:///{tmp_path}/file/tidegate.db"]) == 2
    assert capsys.readouterr().err.startswith("tidegate: error: front.store: cannot write ")


def test_export_prints_each_session_with_its_turns_then_documents(capsys: pytest.CaptureFixture[str], url: str) -> None:
    on(url, fill)
    lines = exported(capsys, url, "--tenant", "acme")

    assert [(line["object"], line.get("number")) for line in lines[:6]] == [
        ("session", None), ("turn", 1), ("turn", 2), ("session", None), ("turn", 1), ("turn", 2),
    ]  # fmt: skip
    assert {line["object"] for line in lines[6:]} == {"document"}
    assert len(lines) == 6 + 10
    assert lines[0]["user"] == "ann"
    assert lines[1]["items"] == [{"id": "t0_0", "content": {"role": "user", "content": "é 0"}}]


@pytest.mark.parametrize(("scope", "response_ids"), [
    (["--session", "a1"], ["resp_a1"]), (["--user", "ann"], ["resp_a1", "resp_of_ann"]),
])  # fmt: skip
def test_export_of_one_session_or_user(
    capsys: pytest.CaptureFixture[str], url: str, scope: list[str], response_ids: list[str]
) -> None:
    on(url, fill)
    lines = exported(capsys, url, "--tenant", "acme", *scope)

    assert [line["id"] for line in lines if line["object"] == "session"] == ["a1"]
    assert [line["id"] for line in lines if line.get("kind") == "response"] == response_ids
    assert [line["id"] for line in lines if line.get("kind") == "summary"] == ["a1"]


def test_export_of_a_session_of_another_tenant_is_that_of_an_unknown_one(
    capsys: pytest.CaptureFixture[str], url: str
) -> None:
    on(url, fill)

    for tenant, session in (("evil", "b1"), ("acme", "unknown")):
        assert main(["sessions", "export", "--store", url, "--tenant", tenant, "--session", session]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == "tidegate: exported 0 sessions, 0 turns, 0 documents\n"


def test_a_long_session_is_exported_whole_and_in_order(capsys: pytest.CaptureFixture[str], url: str) -> None:
    async def fill_long(store: DurableStore) -> None:
        key = Key("acme", "long")
        for number in range(100):
            await store.append(key, number, turn(f"t{number}", "x"), new=Session(key, AT))

    on(url, fill_long)
    assert [line.get("number") for line in exported(capsys, url, "--tenant", "acme")] == [None, *range(1, 101)]


@pytest.mark.parametrize(("scope", "said", "left"), [
    (["--session", "a1"], "deleted 1 session, 4 documents\n",
     {**ONLY_BOBS, "response": ["resp_b1", "resp_of_ann", "resp_of_bob"]}),
    (["--user", "ann"], "deleted 1 session, 5 documents\n", ONLY_BOBS),
    (["--all"], "deleted 2 sessions, 10 documents\n", {}),
])  # fmt: skip
def test_delete_takes_all_that_belongs_to_the_scope_and_nothing_else(
    capsys: pytest.CaptureFixture[str], url: str, scope: list[str], said: str, left: dict[str, list[str]]
) -> None:
    on(url, fill)
    others = on(url, lambda store: kept(store, "evil"))

    assert main(["sessions", "delete", "--store", url, "--tenant", "acme", *scope, "--yes"]) == 0
    assert capsys.readouterr().out == said
    assert {name: sorted(ids) for name, ids in on(url, kept).items()} == left
    assert on(url, lambda store: kept(store, "evil")) == others


@pytest.mark.parametrize("answer", ["", "n\n", "yess\n"])
def test_delete_asks_and_deletes_nothing_without_a_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, answer: str
) -> None:
    on(url, fill)
    before = on(url, kept)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    assert main(["sessions", "delete", "--store", url, "--tenant", "acme", "--user", "ann"]) == 1
    assert "Delete everything of user ann of tenant acme in the SQLite file " in capsys.readouterr().err
    assert on(url, kept) == before


def test_delete_goes_on_after_a_yes(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    on(url, fill)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    assert main(["sessions", "delete", "--store", url, "--tenant", "acme", "--all"]) == 0
    assert on(url, kept) == {}


def test_delete_wants_to_know_what(capsys: pytest.CaptureFixture[str], url: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["sessions", "delete", "--store", url, "--tenant", "acme", "--yes"])

    assert stopped.value.code == 2
    assert "one of the arguments --session --user --all is required" in capsys.readouterr().err


def test_a_delete_that_ended_half_way_can_be_finished(capsys: pytest.CaptureFixture[str], url: str) -> None:
    on(url, fill)
    on(url, lambda store: store.delete_session(Key("acme", "a1")))

    assert main(["sessions", "delete", "--store", url, "--tenant", "acme", "--session", "a1", "--yes"]) == 0
    assert capsys.readouterr().out == "deleted 0 sessions, 4 documents\n"


def test_nothing_is_deleted_while_redis_may_hold_copies_and_cannot_be_reached(
    capsys: pytest.CaptureFixture[str], url: str
) -> None:
    on(url, fill)
    before = on(url, kept)
    command = ["sessions", "delete", "--store", url, "--tenant", "acme", "--all", "--yes"]

    assert main([*command, "--redis", "redis://127.0.0.1:1"]) == 1
    assert "front.redis cannot be reached" in capsys.readouterr().err
    assert on(url, kept) == before


async def copy_of(redis: RedisServer, key: Key, opened: Opened | None = None) -> Opened | None:
    """What a front would find in Redis, after it put `opened` there."""
    state = await RedisState.connect(redis.url, StateSettings(), "front", lambda _: None, lease_seconds=0.05)
    try:
        # Copies of an epoch that has just begun are trusted by nobody.
        await asyncio.sleep(0.7)
        found = await state.hot.open(key, "turn")
        if opened is not None:
            await state.hot.fill(opened, "turn")
            found = await state.hot.open(key, "turn")
        return found
    finally:
        await state.close()


@pytest.mark.parametrize("scope", [["--session", "a1"], ["--user", "ann"], ["--all"]])
def test_delete_takes_the_copies_in_redis_too(url: str, tmp_path: Path, scope: list[str]) -> None:
    on(url, fill)
    key = Key("acme", "a1")
    opened = on(url, lambda store: store.open(key, 9))
    with RedisServer(tmp_path) as redis:
        assert asyncio.run(copy_of(redis, key, opened)) == opened

        command = ["sessions", "delete", "--store", url, "--tenant", "acme", *scope, "--yes"]
        assert main([*command, "--redis", redis.url]) == 0
        assert asyncio.run(copy_of(redis, key)) is None
