"""What `tidegate up` consists of, and how it keeps that running; the real thing is in tests/engine."""

import json
import os
from pathlib import Path

import pytest

from serving import cli, main
from serving.cli import household, machine
from serving.cli.crew import Worker
from serving.cli.household import plan
from serving.cli.ports import any_free
from serving.cli.ready import Ready
from serving.cli.state import StateFolder, running, state_of
from serving.cli.supervisor import KeptRunning, stop
from serving.errors import SettingsError
from serving.settings import Settings
from tests.support.waiting import eventually


@pytest.fixture
def settings() -> Settings:
    front = {"port": any_free(), "admin_port": any_free()}
    return Settings.model_validate({"front": front, "engine": {"port": 31000, "replicas": 2}})


def test_cells_get_ports_of_their_own_and_the_front_gets_every_replica(settings: Settings) -> None:
    made = plan(settings, 2, {}, lambda: "tg_minted")

    first, second = (cell.settings.engine.port for cell in made.cells)
    assert second >= first + 2
    assert made.front.settings.front.engines == tuple(
        f"http://127.0.0.1:{port}" for port in (first, first + 1, second, second + 1)
    )


def test_a_key_is_minted_only_when_none_is_configured(settings: Settings) -> None:
    own = settings.model_copy(update={"front": settings.front.model_copy(update={"api_keys": ("mine",)})})

    assert plan(settings, 1, {}, lambda: "tg_minted").front.settings.front.api_keys == ("tg_minted",)
    assert plan(own, 1, {}, lambda: "tg_minted").front.settings.front.api_keys == ("mine",)


def test_cells_do_not_get_the_keys_and_members_no_settings_from_the_environment(settings: Settings) -> None:
    made = plan(settings, 1, {"TIDEGATE_FRONT__API_KEYS": "mine", "HF_TOKEN": "x"}, lambda: "tg_minted")

    assert made.cells[0].settings.front.api_keys == ()
    assert [dict(member.environ) for member in (made.front, *made.cells)] == [{"HF_TOKEN": "x"}] * 2


def test_a_redis_of_its_own_serves_a_front_that_has_none(settings: Settings) -> None:
    made = plan(settings, 1, {"PATH": ""}, str)

    assert made.redis is not None
    assert made.front.settings.front.redis == made.redis.url
    assert made.redis.password in made.redis.config
    assert made.redis.password not in " ".join(made.redis.command)


def test_a_given_redis_comes_before_one_in_the_environment_and_that_before_an_own_one(settings: Settings) -> None:
    given = settings.model_copy(update={"front": settings.front.model_copy(update={"redis": "redis://given"})})

    for own, expected in ((given, "redis://given"), (settings, "redis://environment")):
        made = plan(own, 1, {"REDIS_URL": "redis://environment"}, str)
        assert made.redis is None
        assert made.front.settings.front.redis == expected


def test_a_redis_server_on_the_path_comes_before_the_carried_one_and_neither_means_none(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program := tmp_path / "redis-server").touch(0o755)
    carried, found = (plan(settings, 1, {"PATH": path}, str).redis for path in ("", str(tmp_path)))
    assert carried is not None
    assert carried.binary.endswith("valkey-server")
    assert found is not None
    assert found.binary == str(program)

    monkeypatch.setattr(household, "server_binary", lambda _environ: None)
    made = plan(settings, 1, {}, str)
    assert made.redis is None
    assert made.front.settings.front.redis is None


def test_the_own_redis_runs_is_brought_back_and_ends(settings: Settings, tmp_path: Path) -> None:
    made = plan(settings, 1, dict(os.environ) | {"REDIS_URL": ""}, str)
    assert made.redis is not None
    worker, said = Worker(made.redis, StateFolder(tmp_path)), list[str]()
    worker.kept.start(0.0)
    try:
        eventually(worker.ask_whether_ready, what="redis")
        assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0
        worker.child.kill()
        eventually(lambda: worker.child.exit_status is not None)
        worker.kept.check(1.0, said.append)
        worker.kept.check(2.0, said.append)
        eventually(worker.ask_whether_ready, what="redis again")
        assert said == ["redis died (signal 9); starting it again in 1 s"]
    finally:
        assert stop([worker.child], 5, lambda: False) == []


def test_a_front_port_in_use_names_its_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(household, "is_free", lambda port, _host="": port != settings.front.admin_port)

    with pytest.raises(SettingsError) as caught:
        plan(settings, 1, {}, str)
    assert caught.value.key == "front.admin_port"


def test_cells_share_the_gpus_out_or_say_that_they_are_too_few(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(household, "gpus", lambda: [f"GPU {n}" for n in range(4)])

    made = plan(settings, 2, {}, str)
    assert [cell.environ["CUDA_VISIBLE_DEVICES"] for cell in made.cells] == ["0,1", "2,3"]
    with pytest.raises(SettingsError, match="need 6, this machine has 4"):
        plan(settings, 3, {}, str)
    assert machine.cores() >= 1


class Scripted:
    """A process that dies when told to."""

    name = "engine-0"

    def __init__(self, ignores_terminate: bool = False) -> None:
        self.exit_status: int | None = None
        self.starts = 0
        self.killed = 0
        self._ignores_terminate = ignores_terminate

    def start(self) -> None:
        self.exit_status = None
        self.starts += 1

    def terminate(self) -> None:
        if not self._ignores_terminate:
            self.exit_status = 0

    def kill(self) -> None:
        self.killed += 1

    def last_words(self) -> str:
        return "the port is taken"


def test_a_dead_process_is_started_again_after_ever_longer_waits() -> None:
    process, said, now = Scripted(), list[str](), 0.0
    kept = KeptRunning(process)
    kept.start(now)
    waits = []
    for _ in range(7):
        process.exit_status = -9
        died = now
        starts = process.starts
        while process.starts == starts:
            kept.check(now, said.append)
            now += 0.25
        waits.append(round(now - died))

    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert said[0] == "engine-0 died (signal 9); starting it again in 1 s"
    assert len(said) == process.killed == 7


def test_a_minute_of_life_makes_the_wait_short_again() -> None:
    process, said = Scripted(), list[str]()
    kept = KeptRunning(process)
    for start in (0.0, 10.0, 100.0):
        kept.start(start)
        process.exit_status = 1
        kept.check(start + (61 if start == 100 else 1), said.append)

    assert [line.split(" in ")[1] for line in said] == ["1 s", "2 s", "1 s"]
    assert said[0].startswith("engine-0 died (exit status 1: the port is taken); ")


def test_stopping_waits_for_all_and_kills_only_what_does_not_end() -> None:
    polite, stubborn = Scripted(), Scripted(ignores_terminate=True)
    polite.start(), stubborn.start()

    assert stop([polite], 5, lambda: False) == []
    assert stop([polite, stubborn], 0.1, lambda: False, at_once_seconds=0.1) == ["engine-0"]


def test_a_second_signal_ends_the_wait() -> None:
    stubborn = Scripted(ignores_terminate=True)
    stubborn.start()

    assert stop([stubborn], 3600, lambda: True, at_once_seconds=0.1) == ["engine-0"]
    assert stubborn.killed == 1


def test_a_running_up_is_found_by_others_until_it_ends(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    ready = Ready("http://127.0.0.1:8000/v1", "http://127.0.0.1:9000", "tg_x", "tiny")

    with state_of(8000, environ) as folder:
        assert running(environ) is None
        folder.announce(ready)
        assert running(environ) == ready
        assert (folder.folder / "ready.json").stat().st_mode & 0o077 == 0
        assert int((folder.folder / "up.pid").read_text()) == os.getpid()
    assert running(environ) is None


def test_an_up_that_was_killed_is_not_found(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    with state_of(8000, environ) as folder:
        folder.announce(Ready("http://x/v1", "http://x", None, None))
        (folder.folder / "up.pid").write_text("999999999")

        assert running(environ) is None


def test_the_json_line_is_what_scripts_rely_on() -> None:
    line = json.loads(Ready("http://127.0.0.1:1/v1", "http://127.0.0.1:2", "k", "m").line())

    assert line == {
        "base_url": "http://127.0.0.1:1/v1",
        "admin_url": "http://127.0.0.1:2",
        "api_key": "k",
        "model": "m",
    }


def test_flags_say_where_a_front_keeps_things(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(main, "run_front", lambda settings, **_: bool(seen.append(settings)))
    flags = ["--store", "sqlite:///x.db", "--redis", "unix:///run/redis.sock"]

    assert cli.main(["front", "--engine", "http://127.0.0.1:1", *flags]) == 0
    assert (seen[0].front.store, seen[0].front.redis) == ("sqlite:///x.db", "unix:///run/redis.sock")
