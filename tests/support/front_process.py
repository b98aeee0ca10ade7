"""The real front as a user runs it: `tidegate front` in a process of its own, seen through its ports and its log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.front.keys import mint
from tests.support.ports import free_port
from tests.support.waiting import eventually

TIDEGATE = Path(sys.executable).with_name("tidegate")
START_SECONDS = 90


class Front:
    """`settings` maps dotted keys to values, as `--set` takes them; `keys` is the content of a keys file."""

    def __init__(
        self,
        engines: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        keys: Sequence[Mapping[str, Any]] = (),
        folder: Path | None = None,
    ) -> None:
        self.key = mint()
        self.port, self.admin_port = free_port(), free_port()
        self.address = ("127.0.0.1", self.port)
        self.admin_address = ("127.0.0.1", self.admin_port)
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.lines: list[str] = []
        self.complaints: list[str] = []
        command = [str(TIDEGATE), "front", "--port", str(self.port), "--admin-port", str(self.admin_port)]
        command += ["--api-key", self.key]
        for url in engines:
            command += ["--engine", url]
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-front-"))
        for name, value in {"front.store": f"sqlite:///{self._folder}/store.db", **(settings or {})}.items():
            command += ["--set", f"{name}={value}"]
        if keys:
            assert folder is not None
            path = folder / f"keys-{self.port}.yaml"
            path.write_text(yaml.safe_dump({"keys": [dict(entry) for entry in keys]}), encoding="utf-8")
            command += ["--keys-file", str(path)]
        self.command = command
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Front:
        """Run it and wait until it says that it is ready."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while self.readiness() != 200:
            assert self.process.poll() is None, f"front ended at its start: {self.stderr}"
            assert time.monotonic() < deadline, f"front not ready after {START_SECONDS} s: {self.stderr}"
            time.sleep(0.02)
        return self

    def launch(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, "PYTHONUNBUFFERED": "1"},
        )
        self._readers = [
            threading.Thread(target=self._collect, args=(stream, into), daemon=True)
            for stream, into in ((self.process.stdout, self.lines), (self.process.stderr, self.complaints))
        ]
        for reader in self._readers:
            reader.start()

    def readiness(self) -> int:
        """Status of /readyz on the admin port; 0 when nothing listens."""
        return self.get(f"{self.admin_url}/readyz")[0]

    def get(self, url: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of the admin port's /metrics."""
        status, text = self.get(f"{self.admin_url}/metrics")
        assert status == 200, status
        families = text_string_to_metric_families(text)
        samples = (sample for family in families for sample in family.samples)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples called `name` that carry these labels."""
        wanted = labels.items()
        return sum(value for (found, has), value in self.metrics().items() if found == name and wanted <= has)

    def log_lines(self) -> list[dict[str, Any]]:
        """The request log: the JSON objects of standard output."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def log_of(self, request_id: str, within: float = 2.0) -> dict[str, Any]:
        """The one log line of a request."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log_lines() if line.get("request_id") == request_id]

        lines = eventually(found, within=within, what=f"the log line of {request_id}")
        assert len(lines) == 1, lines
        return lines[0]

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def stderr(self) -> str:
        return "".join(self.complaints)

    @property
    def rss_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self, number: int = signal.SIGTERM) -> None:
        """No effect on a front that has ended."""
        self.process.send_signal(number)

    def wait(self, within: float = 10.0) -> int:
        """The exit status."""
        status = self.process.wait(timeout=within)
        for reader in self._readers:
            reader.join(timeout=2)
        return status

    def terminate(self) -> int:
        """SIGTERM, and its exit status."""
        self.signal()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL; no effect on a front that was not started or has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _collect(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            into.append(line)
