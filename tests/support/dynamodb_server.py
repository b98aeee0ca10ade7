"""Real DynamoDB stand-ins as processes: moto's server and dynalite. One is right where the other is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import boto3

from serving.adapters.dynamodb.table import shape
from tests.support.ports import free_port
from tests.support.waiting import eventually

REGION = "eu-west-1"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
_MOTO = Path(sys.executable).with_name("moto_server")
_DYNALITE = Path(sys.prefix) / "dynalite" / "node_modules" / "dynalite" / "cli.js"


class DynamoServer:
    """One server on a port of its own while the `with` lasts; `environ` is what a child process needs to use it."""

    environ: ClassVar[dict[str, str]] = _CREDENTIALS

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.address = ("127.0.0.1", free_port())
        self._process: subprocess.Popen[bytes] | None = None
        self._hidden: dict[str, str | None] = {}

    @staticmethod
    def missing() -> str | None:
        """What is not on this machine and must be, in words."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}"

    def fresh(self) -> str:
        """URL of a new empty table."""
        table = f"test-{uuid.uuid4().hex}"
        self._client.create_table(**shape(table))
        return self.url(table)

    @cached_property
    def _client(self) -> Any:
        # The store's own way to a table takes a new client each time, a quarter of a second of the CPU.
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client("dynamodb", region_name=REGION, endpoint_url=self.endpoint, **keys)

    def url(self, table: str) -> str:
        return f"dynamodb://{table}?endpoint={self.endpoint}&region={REGION}"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._listens, within=60, what=f"{type(self).__name__} listening")

    def stop(self) -> None:
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        self._end(subprocess.Popen.kill)

    def __enter__(self) -> DynamoServer:
        self._hidden = {name: os.environ.get(name) for name in self.environ}
        os.environ.update(self.environ)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for name, value in self._hidden.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process.wait(timeout=20)
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended at once: {(self.folder / 'server.log').read_text()}"
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0


class MotoServer(DynamoServer):
    """Forgets everything when it ends. It sorts a whole table for each query: few turns and clients, or long tests."""

    most_turns = 100
    most_clients = 10

    @staticmethod
    def missing() -> str | None:
        return None if _MOTO.exists() else "moto_server (pip: moto[server])"

    def _command(self) -> list[str]:
        # Its threads check a condition and then write, which is one step only while no other thread gets in between.
        alone = "import sys; sys.setswitchinterval(3600); from moto.server import main; main()"
        return [sys.executable, "-c", alone, "-H", self.address[0], "-p", str(self.address[1])]


class DynaliteServer(DynamoServer):
    """Keeps its tables in its folder over `kill` and `start`."""

    @staticmethod
    def missing() -> str | None:
        if not shutil.which("node"):
            return "node (Debian package: nodejs)"
        return None if _DYNALITE.exists() else "dynalite (npm package; make dynalite)"

    def _command(self) -> list[str]:
        times = [f"--{what}TableMs=0" for what in ("create", "delete", "update")]
        place = ["--host", self.address[0], "--port", str(self.address[1]), "--path", str(self.folder / "tables")]
        return ["node", str(_DYNALITE), *place, *times]
