"""How a cell ends: drained by SIGTERM, or killed; neither leaves a process."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest

from tests.engine.cell_process import events, finish_reasons
from tests.engine.conftest import MakeCell
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)


def test_sigterm_lets_streams_finish_and_refuses_new_work(make_cell: MakeCell) -> None:
    cell = make_cell().wait_ready()
    everything = cell.children()
    response = cell.long_stream(1500)
    stream = events(response)
    next(stream)
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.extend(stream))
    reader.start()

    # As a terminal's Ctrl-C does: the signal reaches the whole foreground process group.
    os.killpg(cell.process.pid, signal.SIGINT)

    eventually(lambda: cell.status("/-/healthz") == 503, 3, "unreadiness")
    assert reader.is_alive(), "the stream was too short to see the drain"
    with cell.chat(max_tokens=1) as refused:
        assert refused.status == 503
        assert refused.headers["retry-after"]
        assert json.load(refused)["error"]["code"] == "draining"
    reader.join(120)
    assert finish_reasons(seen) == ["length"]
    assert seen[-1] == "[DONE]"
    assert cell.process.wait(30) == 0
    assert not psutil.wait_procs(everything, timeout=20)[1]


def test_sigterm_ends_an_idle_cell_in_seconds(make_cell: MakeCell) -> None:
    cell = make_cell().wait_ready()
    started = time.monotonic()
    assert cell.terminate() == 0
    assert time.monotonic() - started < 10


def test_a_killed_cell_leaves_no_process(make_cell: MakeCell) -> None:
    cell = make_cell().wait_ready()
    everything = cell.children()
    assert cell.engine_core() in everything

    cell.process.kill()

    assert not psutil.wait_procs(everything, timeout=10)[1]
