"""A stream whose engine is killed, with no other one there: it waits for the engine to come back, and goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.cell_process import START_SECONDS, CellProcess
from tests.engine.conftest import MakeCell
from tests.engine.told import CHAT, GREEDY, USAGE, ask, told
from tests.support.front_process import Front
from tests.support.raw_http import Answer, Wire, parsed, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(2 * START_SECONDS + 60)

TOKENS = 200
BODY = {**GREEDY, **USAGE, "max_tokens": TOKENS, "messages": [{"role": "user", "content": "Grüße 日本語 😀"}]}
PARAMETERS = {"type": "object", "properties": {"place": {"type": "string", "minLength": 200}}, "required": ["place"]}
TOOL: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}],
    "tool_choice": "required",
}
PARSER = {"vllm_flags.tool-call-parser": "hermes", "vllm_flags.enable-auto-tool-choice": "true"}


@pytest.fixture
def cell(make_cell: MakeCell) -> CellProcess:
    return make_cell(PARSER).wait_ready()


@pytest.fixture
def front(cell: CellProcess) -> Iterator[Front]:
    made = Front([cell.url], {"front.heartbeat_seconds": 1, "front.hold.seconds": START_SECONDS})
    try:
        yield made.start()
    finally:
        made.kill()


def test_a_stream_waits_for_its_killed_engine_and_goes_on(cell: CellProcess, front: Front) -> None:
    whole = told(ask(front, CHAT, BODY))
    with Wire(front.address, timeout=START_SECONDS) as plain, Wire(front.address, timeout=10) as tool:
        going, calling = begun(front, plain, BODY), begun(front, tool, {**BODY, **TOOL})

        os.kill(cell.engine_core().pid, signal.SIGKILL)

        # What must not go on is told so now.
        list(calling[1])
        assert calling[0].end == "cut"
        assert set(parsed(calling[0].events)[-1]) == {"error"}
        list(going[1])
    assert told(going[0]) == whole
    assert len(going[0].comments) > 3
    assert front.log_of(going[0].headers["x-request-id"])["attempts"] < 40
    eventually(lambda: "serves again after" in cell.output(), 2, "the line that tells it")


def begun(front: Front, wire: Wire, body: dict[str, Any]) -> tuple[Answer, Iterator[bytes]]:
    """A stream of which some events came, and the rest of them."""
    answer = wire.send(request(CHAT, body, key=front.key)).head()
    events = wire.events(answer)
    for _ in range(10):
        next(events)
    return answer, events
