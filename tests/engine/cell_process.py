"""A real engine cell as a user runs it: `tidegate engine` in a process of its own, seen through port and log."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import free_port
from tests.support.waiting import eventually

TIDEGATE = Path(sys.executable).with_name("tidegate")
START_SECONDS = 280


class CellProcess:
    """`settings` maps dotted keys below `engine.` to values, as `--set` takes them."""

    def __init__(self, model: Path, folder: Path, settings: Mapping[str, Any]) -> None:
        self.port = settings.get("port") or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.model = "tiny"
        self.log = folder / f"cell-{self.port}.log"
        command = [str(TIDEGATE), "engine", "--model", str(model), "--served-model-name", self.model]
        command += ["--port", str(self.port)]
        for name, value in settings.items():
            command += ["--set", f"engine.{name}={value}"]
        with self.log.open("wb") as log:
            # A session of its own, so that a Ctrl-C of the test run does not reach it before the fixtures do.
            self.process = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)

    def wait_ready(self, within: float = START_SECONDS) -> CellProcess:
        eventually(lambda: self.status("/-/healthz") == 200 or self.process.poll() is not None, within, "a ready cell")
        assert self.process.poll() is None, self.output()
        return self

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[psutil.Process]:
        """Every process of the cell except its main one."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def child(self, name: str) -> psutil.Process:
        """The one process whose title is `name`, e.g. `ray::ServeReplica`; asked for again while it is not seen."""
        return self._only(name, self.children)

    def engine_core(self) -> psutil.Process:
        """vLLM's EngineCore, which the replica spawns. It now and then fails to give itself its title."""
        return self._only("spawn_main", self.child("ray::ServeReplica").children, "VLLM::EngineCore")

    def engine_worker(self) -> psutil.Process:
        """The worker that the EngineCore spawns."""
        return self._only("spawn_main", self.engine_core().children, "VLLM::Worker")

    def _only(self, name: str, among: Callable[[], list[psutil.Process]], title: str = "") -> psutil.Process:
        found: list[psutil.Process] = []

        def looked_up() -> bool:
            lines = [(child, " ".join(child.cmdline())) for child in among()]
            found[:] = [child for child, line in lines if name in line or (title and title in line)]
            return len(found) == 1

        eventually(looked_up, 10, f"one {title or name} among {[child.name() for child in self.children()]}")
        return found[0]

    def status(self, path: str, body: Any = None) -> int | None:
        """The status of one request; None where nobody answers."""
        try:
            with self.request(path, body) as response:
                return response.status
        except (OSError, http.client.HTTPException):
            return None

    def request(self, path: str, body: Any = None, timeout: float = 60) -> http.client.HTTPResponse:
        """Closing the response closes its connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"content-type": "application/json", "connection": "close"}
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse()

    def chat(self, **fields: Any) -> http.client.HTTPResponse:
        body = {"model": self.model, "messages": [{"role": "user", "content": "hello"}], "temperature": 0, **fields}
        return self.request("/v1/chat/completions", body)

    def long_stream(self, tokens: int) -> http.client.HTTPResponse:
        """A stream of exactly so many tokens."""
        return self.chat(stream=True, max_tokens=tokens, min_tokens=tokens)

    def metric(self, name: str) -> float:
        """The sum of a series over its labels."""
        with self.request("/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def terminate(self, within: float = 30) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is not None:
            return
        everything = self.children()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for child in psutil.wait_procs(everything, timeout=30)[1]:
            child.kill()


def events(response: http.client.HTTPResponse) -> Iterator[Any]:
    """The data of each server-sent event, parsed; `[DONE]` as that text. Raises where the body is cut."""
    for line in response:
        if line.startswith(b"data: "):
            text = line.removeprefix(b"data: ").strip().decode()
            yield text if text == "[DONE]" else json.loads(text)


def finish_reasons(seen: Sequence[Any]) -> list[str]:
    choices = [choice for event in seen if isinstance(event, dict) for choice in event.get("choices", [])]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
