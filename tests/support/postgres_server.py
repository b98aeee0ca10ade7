"""A real PostgreSQL of the Debian package on a free port, with passwords and fsync; it can be killed and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.ports import free_port
from tests.support.waiting import eventually

# PostgreSQL refuses to run as root; the package makes this user.
_USER = "postgres"
_SUPERUSER = "tidegate"
_TEMPLATE = "empty_store"
# Empty stores given before one is given again, emptied: to drop a database costs a checkpoint.
_IN_USE = 8
_EMPTY = "; ".join(
    [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        *(f"DELETE FROM tidegate.{table}" for table in ("sessions", "turns", "items", "documents")),
    ]
)
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def _binary(name: str) -> str | None:
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(packaged[-1]) if packaged else shutil.which(name)


class PostgresServer:
    """Use it as a context; whatever it started is gone at the end."""

    def __init__(self, folder: Path) -> None:
        self.address = ("127.0.0.1", free_port())
        self.password = f"p@ss/{secrets.token_hex(4)}#?"
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._given: list[str] = []
        self._made = 0

    @staticmethod
    def missing() -> str | None:
        """What this machine lacks, by name."""
        if not all(map(_binary, ("postgres", "initdb", "psql"))):
            return "postgresql"
        if os.geteuid() == 0 and _USER not in {user.pw_name for user in pwd.getpwall()}:
            return f"the user {_USER} (package postgresql)"
        return None

    def __enter__(self) -> PostgresServer:
        # Not pytest's folder: those are closed to every other user.
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-postgres-"))
        try:
            self._prepare()
            self.start()
            self._template()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None:
                self.stop("immediate")
        finally:
            self.kill()
            self._forget_shared_memory()
            shutil.rmtree(self._folder)

    def url(self, database: str, **changed: Any) -> str:
        host, port = changed.get("address", self.address)
        password = quote(changed.get("password", self.password), safe="")
        return f"postgresql://{changed.get('user', _SUPERUSER)}:{password}@{host}:{port}/{database}"

    def fresh(self) -> str:
        """The URL of a database with nothing in the schema's tables. For a test that changes more of it: `bare`."""
        if len(self._given) < _IN_USE:
            database = self._database(_TEMPLATE)
        else:
            database = self._given.pop(0)
            self.sql(_EMPTY, database)
        self._given.append(database)
        return self.url(database)

    def bare(self) -> str:
        """The URL of a new database with nothing in it."""
        return self.url(self._database("template1"))

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for it."""
        psql = _binary("psql")
        assert psql
        words = [psql, "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder), "-U", _SUPERUSER]
        words += ["-p", str(self.address[1]), "-d", database, "-c", statement]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def start(self) -> None:
        """The same data on the same port."""
        options = {"listen_addresses": "127.0.0.1", "port": self.address[1], "unix_socket_directories": self._folder}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = self._run("postgres", "-D", str(self._data), *settings, stdout=log, stderr=log)
        eventually(self._answers, within=60, what="PostgreSQL answering")

    def stop(self, mode: str = "fast") -> None:
        """As pg_ctl does it: smart waits for clients, fast ends them, immediate does not write anything back."""
        process = self._running()
        process.send_signal(_STOP_SIGNALS[mode])
        process.wait(timeout=60)
        self._process = None

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as the machine's end would be."""
        if self._process is None:
            return
        pids = self._signal(signal.SIGSTOP)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=60)
        self._process = None
        # A new server waits for none of the old; it refuses to start beside one.
        eventually(lambda: not any(map(_lives, pids)), within=60, what="the end of PostgreSQL's processes")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        with _going_on_afterwards(self._signal(signal.SIGSTOP)):
            yield

    @contextlib.contextmanager
    def frozen_connections(self, url: str) -> Iterator[None]:
        """Those to this database answer nothing, as when a firewall forgot them; new ones work."""
        found = self.sql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{url.rpartition('/')[2]}'")
        pids = [int(pid) for pid in found.split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with _going_on_afterwards(pids):
            yield

    def _forget_shared_memory(self) -> None:
        """The kernel keeps the segment of a server that was killed; its last line but one in this file names it."""
        pid_file = self._data / "postmaster.pid"
        if pid_file.exists():
            segment = pid_file.read_text(encoding="utf-8").splitlines()[6].split()[1]
            subprocess.run(["ipcrm", "-m", segment], check=False, stderr=subprocess.DEVNULL)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
        secret = self._folder / "password"
        secret.write_text(self.password, encoding="ascii")
        secret.chmod(0o644)
        words = [
            "-D",
            str(self._data),
            "-U",
            _SUPERUSER,
            "--pwfile",
            str(secret),
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        with self._log.open("ab") as log:
            made = self._run(
                "initdb", *words, "--auth-local=trust", "--auth-host=scram-sha-256", stdout=log, stderr=log
            )
        assert made.wait(timeout=120) == 0, self._log.read_text(encoding="utf-8")

    def _template(self) -> None:
        from serving.adapters.postgres.store import PostgresStore

        self.sql(f"CREATE DATABASE {_TEMPLATE}")
        # In a thread: a test that starts a server may run in a loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, PostgresStore.create_schema(self.url(_TEMPLATE))).result()

    def _database(self, template: str) -> str:
        self._made += 1
        name = f"test_{self._made}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _run(self, name: str, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        binary = _binary(name)
        assert binary
        if os.geteuid() == 0:
            options |= {"user": _USER, "group": pwd.getpwnam(_USER).pw_gid, "extra_groups": []}
        return subprocess.Popen([binary, *words], cwd=self._folder, stdin=subprocess.DEVNULL, **options)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "PostgreSQL is not running"
        return self._process

    def _answers(self) -> bool:
        assert self._running().poll() is None, self._log.read_text(encoding="utf-8")
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.sql("SELECT 1") == "1"
        return False

    def _signal(self, which: signal.Signals) -> list[int]:
        """The postmaster first, so that it makes no more processes; all of them in the order of the signal."""
        parent = self._running().pid
        os.kill(parent, which)
        pids = [parent, *_children(parent)]
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
        return pids


@contextlib.contextmanager
def _going_on_afterwards(pids: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    return [pid for pid in _pids() if (stat := _stat(pid)) is not None and int(stat[1]) == parent]


def _lives(pid: int) -> bool:
    """A zombie that nobody waits for holds nothing."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """State, parent and so on, as /proc tells them behind the process's name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
