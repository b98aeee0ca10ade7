"""`tidegate up` with a real cell: what it prints, what it restarts, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine.cell_process import START_SECONDS, TIDEGATE
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Up:
    """A running `tidegate up --json`; its output lies in files."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.environ = {**os.environ, "XDG_STATE_HOME": str(folder)}
        self.out, self.err = folder / "out", folder / "err"
        command = [str(TIDEGATE), "up", "--json", "--model", str(model), "--served-model-name", "tiny"]
        command += ["--port", str(free_port()), "--admin-port", str(free_port())]
        command += ["--set", f"engine.port={free_port()}", "--set", "engine.vllm_flags.num-gpu-blocks-override=256"]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env=self.environ, start_new_session=True
            )  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """The one line on standard output."""
        eventually(lambda: self.out.read_bytes() or self.process.poll() is not None, START_SECONDS, "the ready line")
        assert self.process.poll() is None, self.said()
        (line,) = self.out.read_text(encoding="utf-8").splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    def said(self) -> str:
        return self.err.read_text(encoding="utf-8", errors="replace")

    def family(self) -> list[psutil.Process]:
        """Every process below it; psutil knows each by its start time too, so a reused pid is not mistaken."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def child(self, command: str) -> psutil.Process:
        """The `tidegate COMMAND` that it runs."""
        (found,) = (child for child in self.family() if f"serving.cli {command} " in " ".join(child.cmdline()))
        return found

    def chat(self, question: str) -> subprocess.CompletedProcess[str]:
        """Ask through `tidegate chat`, which finds the endpoint by itself."""
        return subprocess.run(
            [str(TIDEGATE), "chat"], input=question, capture_output=True, text=True, env=self.environ, timeout=120,
            check=False,
        )  # fmt: skip


@pytest.fixture
def up(tiny_model: Path, tmp_path: Path) -> Iterator[Up]:
    made = Up(tiny_model, tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.terminate()
        made.process.wait(60)


def gone(processes: list[psutil.Process]) -> bool:
    return not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(START_SECONDS + 120)
def test_serves_a_chat_brings_a_front_back_and_leaves_nothing_even_when_killed(up: Up) -> None:
    ready = up.ready()
    assert ready["model"] == "tiny"
    assert ready["api_key"].startswith("tg_")
    assert ready["base_url"].endswith("/v1")
    assert "it talks nonsense" in up.said()

    answer = up.chat("hello\n")
    assert (answer.returncode, "TTFT" in answer.stderr) == (0, True), answer.stderr

    up.child("front").kill()
    eventually(lambda: "front is ready again" in up.said(), 30, "a new front")
    assert "front died (signal 9)" in up.said()
    assert up.chat("hello\n").returncode == 0

    family = up.family()
    up.process.kill()
    eventually(lambda: gone(family), 60, "the end of every process")


def test_a_stop_while_the_model_loads_leaves_nothing(up: Up) -> None:
    eventually(lambda: "loading tiny" in up.said(), START_SECONDS, "a cell that loads")
    family = up.family()
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(60) == 0, up.said()
    eventually(lambda: gone(family), 10, "the end of every process")
    assert up.out.read_bytes() == b""


def test_a_cell_that_cannot_start_ends_up_with_its_words(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "empty").mkdir()
    made = Up(tmp_path / "empty", tmp_path)

    assert made.process.wait(START_SECONDS) == 1
    assert "tidegate: error: " in made.said()
    assert "engine-0" in made.said()
