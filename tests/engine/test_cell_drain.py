"""A cell that is told to go cuts nobody: its streams end, and what comes later goes elsewhere unseen."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.cell_process import CellProcess, events, finish_reasons
from tests.engine.conftest import MakeCell
from tests.support import raw_http
from tests.support.front_process import Front
from tests.support.scripted_engine import ScriptedEngine
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)
_STREAMS = 8
_TOKENS = 800


class Streams:
    """So many streams of one cell, read to their ends in threads."""

    def __init__(self, cell: CellProcess) -> None:
        self.seen: list[list[Any]] = [[] for _ in range(_STREAMS)]
        self._responses = [cell.long_stream(_TOKENS) for _ in range(_STREAMS)]
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(_STREAMS)]
        for thread in self._threads:
            thread.start()
        eventually(lambda: all(self.seen), 30, "the first event of each stream")

    @property
    def running(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    @property
    def whole(self) -> int:
        return sum(seen[-1] == "[DONE]" and finish_reasons(seen) == ["length"] for seen in self.seen)

    def join(self, within: float) -> None:
        deadline = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _read(self, number: int) -> None:
        for event in events(self._responses[number]):
            self.seen[number].append(event)


@pytest.fixture
def other() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine()
    yield engine
    engine.down()


def test_a_leaving_cell_ends_its_streams_and_the_front_sends_the_rest_elsewhere(
    make_cell: MakeCell, other: ScriptedEngine
) -> None:
    cell = make_cell({"drain.stream_seconds": 100}).wait_ready()
    front = Front([cell.url, other.url])
    try:
        front.start()
        eventually(lambda: len(_models(front)) == 2, 10, "both engines' models")
        streams = Streams(cell)

        began = time.monotonic()
        cell.process.send_signal(signal.SIGTERM)
        eventually(lambda: cell.status("/v1/models") == 503, 3, "a cell that wants no work")
        no_work_seconds = time.monotonic() - began
        eventually(lambda: cell.status("/-/healthz") == 503, 3, "unreadiness")
        unready_seconds = time.monotonic() - began
        statuses = []
        while streams.running and len(statuses) < 200:
            statuses.append(_chat(front))
        assert cell.status("/metrics") == 200 or not streams.running
        asked = len(statuses)
        streams.join(100)
        status = cell.process.wait(30)

        print(f"{_STREAMS} streams, {streams.whole} whole; {asked} requests, {statuses.count(200)} answered")  # noqa: T201
        print(f"no more work after {no_work_seconds:.2f} s, unready after {unready_seconds:.2f} s")  # noqa: T201
        print(f"ended after {time.monotonic() - began:.1f} s with {status}")  # noqa: T201
        assert streams.whole == _STREAMS
        assert asked > 20
        assert set(statuses) == {200}
        assert status == 0
    finally:
        front.kill()


def test_a_loading_cell_that_is_told_to_go_goes(make_cell: MakeCell) -> None:
    cell = make_cell()
    eventually(lambda: "starting Ray" in cell.output(), 60, "a cell that loads")
    began = time.monotonic()
    assert cell.terminate(within=60) == 0
    assert "stopped while loading" in cell.output()
    print(f"a loading cell ended after {time.monotonic() - began:.1f} s")  # noqa: T201


def _models(front: Front) -> list[str]:
    _, body = front.get(f"{front.admin_url}/admin/engines")
    return [model for engine in json.loads(body or "{}").get("engines", []) for model in engine["models"]]


def _chat(front: Front) -> int:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    with raw_http.Wire(front.address, timeout=60) as wire:
        return wire.send(raw_http.request("/v1/chat/completions", body, key=front.key)).answer().status
