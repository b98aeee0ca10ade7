"""A real Redis, or Valkey, in a process of its own, that can be killed, frozen and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from serving.cli.embedded_redis import answers, server_binary
from tests.support.ports import free_port
from tests.support.tiers import require
from tests.support.waiting import eventually


class RedisServer:
    """Keeps its port over restarts and its data over none, unless it is told `options` that say otherwise."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.url = f"redis://{f':{quote(password)}@' if password else ''}127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = [*(options or ("--save", "", "--appendonly", "no")), "--requirepass", password]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Run it and wait until it answers."""
        binary = server_binary(os.environ)
        require("redis-server", binary is not None)
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        eventually(lambda: answers(self.url), what="redis-server")

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; no effect on one that does not run."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It lives and takes connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        self.command("FLUSHALL")

    def settle(self) -> None:
        """What is copied here from now on is trusted at once, as on a server that nothing happened to for a while."""
        run = next(line for line in self.command("INFO", "server").splitlines() if line.startswith("run_id:"))
        self.command("HSET", "tg:epoch", "name", "settled", "run", run.partition(":")[2], "at", "0")

    def command(self, *words: str) -> str:
        """Send one command beside every client; what comes back, as Redis writes it."""
        with socket.create_connection(self.address, 5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\nQUIT\r\n")
            said = b""
            while data := connection.recv(65536):
                said += data
        return said.removesuffix(b"+OK\r\n").decode(errors="replace").strip()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        self._signal(signal.SIGCONT)
        self._signal(number)
        if self._process is not None:
            self._process.wait(10)
