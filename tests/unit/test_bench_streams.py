"""The benchmark's stream client and its mock engine, over loopback."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from bench import chat_request, mock_answers, mock_engine, stream_client
from bench.processes import free_port

ROLE_FINISH_USAGE_DONE = 4


def request(tokens: int, delay_ms: int = 0) -> bytes:
    return chat_request.encode(chat_request.small(tokens, stream=True, delay_ms=delay_ms), "key")


async def load_mock(connections: int, requests: list[bytes]) -> dict[str, Any]:
    port = free_port()
    server = asyncio.create_task(mock_engine.serve("127.0.0.1", port, "tiny"))
    await asyncio.sleep(0.05)
    try:
        return await stream_client.load(port, connections, requests, 0)
    finally:
        server.cancel()


async def load_bytes(answer: bytes, requests: int) -> dict[str, Any]:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", port := free_port())
    async with server:
        return await stream_client.load(port, 1, [request(1)] * requests, 0)


def test_every_event_of_every_stream_is_counted() -> None:
    seen = asyncio.run(load_mock(3, [request(5)] * 7))
    assert (seen["completed"], seen["errors"]) == (7, 0)
    assert seen["events"] == 7 * (5 + ROLE_FINISH_USAGE_DONE)
    assert seen["output_tokens"] == 7 * 5


def test_events_in_one_read_count_as_one_read() -> None:
    seen = asyncio.run(load_mock(1, [request(10, delay_ms=5)]))
    assert seen["reads"] <= seen["events"] - 2, "finish, usage and [DONE] come in one write"
    assert seen["reads"] >= 10


def test_the_delay_asked_for_lies_between_the_events() -> None:
    seen = asyncio.run(load_mock(1, [request(4, delay_ms=20)]))
    assert seen["durations_ms_p50"] >= 5 * 20 - 2
    assert seen["ttft_ms_p50"] < 50


@pytest.mark.parametrize("cut", [b"data: [DONE]\n\n", b"0\r\n\r\n"])
def test_a_stream_cut_before_its_end_is_an_error_and_the_next_request_is_still_sent(cut: bytes) -> None:
    whole = mock_answers.STREAM_HEAD + mock_answers.events("tiny").token + mock_answers.STREAM_END
    seen = asyncio.run(load_bytes(whole[: whole.index(cut)], requests=2))
    assert (seen["completed"], seen["errors"]) == (0, 2)
    assert "middle" in seen["first_error"]


def test_an_orderly_end_without_done_is_an_error() -> None:
    seen = asyncio.run(load_bytes(mock_answers.STREAM_HEAD + b"0\r\n\r\n", requests=1))
    assert (seen["errors"], seen["first_error"]) == (1, "no [DONE]")


def test_a_refusal_is_an_error_that_names_its_status() -> None:
    seen = asyncio.run(load_bytes(mock_answers.error(400, "no"), requests=1))
    assert seen["first_error"].startswith("status 400")


def test_a_token_event_has_the_size_of_vllms() -> None:
    event = re.fullmatch(rb"([0-9a-f]+)\r\n(data: .*\n\n)\r\n", mock_answers.events("tiny").token)
    assert event is not None
    assert int(event[1], 16) == len(event[2])
    assert 200 <= len(event[2]) <= 220
