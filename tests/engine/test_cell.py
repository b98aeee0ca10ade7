"""A cell that serves: what it answers on its replica's own port, and that it frees what a client left."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from tests.engine.cell_process import CellProcess, events, finish_reasons
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)


def test_is_ready_and_names_its_model(engine_cell: CellProcess) -> None:
    assert engine_cell.status("/-/healthz") == 200
    with engine_cell.request("/v1/models") as response:
        assert [model["id"] for model in json.load(response)["data"]] == ["tiny"]
    eventually(lambda: "tiny is ready after" in engine_cell.output(), 2, "the ready line")


def test_answers_a_chat_and_counts_cached_tokens(engine_cell: CellProcess) -> None:
    with engine_cell.chat(max_tokens=4, min_tokens=4) as response:
        answer = json.load(response)
    assert response.status == 200
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] == 4
    assert "cached_tokens" in answer["usage"]["prompt_tokens_details"]


def test_streams_a_chat_to_its_finish_reason(engine_cell: CellProcess) -> None:
    with engine_cell.chat(max_tokens=4, min_tokens=4, stream=True) as response:
        seen = list(events(response))
    assert finish_reasons(seen) == ["length"]
    assert seen[-1] == "[DONE]"


def test_says_the_same_twice_at_temperature_zero(engine_cell: CellProcess) -> None:
    texts = []
    for _ in range(2):
        with engine_cell.chat(max_tokens=16) as response:
            texts.append(json.load(response)["choices"][0]["message"]["content"])
    assert texts[0] == texts[1]


def test_frees_the_engine_when_the_client_leaves(engine_cell: CellProcess) -> None:
    response = engine_cell.long_stream(3500)
    next(events(response))
    assert engine_cell.metric("vllm:num_requests_running") == 1

    response.close()

    eventually(lambda: engine_cell.metric("vllm:num_requests_running") == 0, 1.5, "an idle engine")
    made = engine_cell.metric("vllm:generation_tokens_total")
    assert engine_cell.metric("vllm:kv_cache_usage_perc") == 0
    assert engine_cell.metric("vllm:generation_tokens_total") == made


def test_listens_on_loopback_only_where_tidegate_decides(engine_cell: CellProcess) -> None:
    replica = engine_cell.child("ray::ServeReplica")
    addresses = {
        link.laddr.ip
        for link in replica.net_connections("tcp")
        if link.laddr.port == engine_cell.port and not link.raddr
    }
    assert addresses == {"127.0.0.1"}


def test_loses_its_engine_at_once_and_gets_a_new_one(engine_cell: CellProcess) -> None:
    core, worker = engine_cell.engine_core(), engine_cell.engine_worker()
    response = engine_cell.long_stream(3500)
    stream = events(response)
    next(stream)

    os.kill(core.pid, signal.SIGKILL)

    seen = list(stream)
    assert any("error" in event for event in seen if isinstance(event, dict)), seen[-3:]
    assert not finish_reasons(seen)
    eventually(lambda: engine_cell.status("/-/healthz") != 200, 2, "the replica out of service")
    eventually(lambda: engine_cell.status("/v1/models") is None, 2, "the end of the replica")
    assert not psutil.wait_procs([core, worker], timeout=5)[1]
    engine_cell.wait_ready()
    assert engine_cell.process.poll() is None
    with engine_cell.chat(max_tokens=2) as answer:
        assert answer.status == 200
    eventually(lambda: "serves again after" in engine_cell.output(), 2, "the line that tells it")
