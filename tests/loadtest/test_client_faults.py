"""How requests fail, as the client tells it: each fault a value, none an exception, no text of anybody in it."""

from __future__ import annotations

import math
import time
from typing import Any

import gevent
import pytest

from loadtest.client.answer import Answer, Ask
from loadtest.client.client import Client
from loadtest.slo import Fault
from tests.support.load_server import (
    DONE,
    STREAM,
    STREAM_END,
    End,
    LoadServer,
    Step,
    chunk,
    delta,
    document,
    head,
    stream,
    usage,
)
from tests.support.ports import free_port

SECRET = "the harbour master's secret"
USER = [{"role": "user", "content": SECRET}]


def ask(url: str, **options: Any) -> Answer:
    client = Client(url, "key", "tiny", connect_seconds=2.0)
    try:
        return client.ask(Ask(USER, 16, **options), time.perf_counter)
    finally:
        client.close()


def answer_to(*steps: Step, **options: Any) -> Answer:
    with LoadServer(steps) as server:
        return ask(server.url, **options)


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_with_retry_after_is_a_shed(status: int) -> None:
    answer = answer_to(document(status, b'{"error":{"message":"busy"}}', retry_after="3"))
    assert (answer.fault, answer.status, answer.detail) == (Fault.SHED, status, f"http_{status}")
    assert answer.retry_after_seconds == 3.0
    assert math.isnan(answer.first)


def test_a_retry_after_in_words_is_a_shed_without_a_number() -> None:
    answer = answer_to(document(429, b"", retry_after="Tue, 24 Nov 2026 15:00:00 GMT"))
    assert answer.fault == Fault.SHED
    assert math.isnan(answer.retry_after_seconds)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500, 503])
def test_any_other_refusal_is_an_error_with_its_status(status: int) -> None:
    answer = answer_to(document(status, b'{"error":{"message":"' + SECRET.encode() + b'"}}'))
    assert (answer.fault, answer.status, answer.detail) == (Fault.ERROR, status, f"http_{status}")
    assert math.isnan(answer.retry_after_seconds)
    assert answer.ended > answer.sent


def test_a_server_that_closes_in_mid_stream_broke_off_and_the_tokens_before_stay() -> None:
    answer = answer_to(STREAM, chunk(delta(content="a")), chunk(delta(content="b")), End.CLOSE)
    assert (answer.fault, answer.detail, answer.chunks) == (Fault.ERROR, "broke_off", 2)
    assert answer.sent < answer.first <= answer.last <= answer.ended


def test_a_server_that_dies_in_mid_stream_is_a_reset() -> None:
    answer = answer_to(STREAM, chunk(delta(content="a")), End.RESET)
    assert (answer.fault, answer.detail, answer.chunks) == (Fault.ERROR, "reset", 1)


def test_a_stream_that_ends_in_order_without_done_broke_off() -> None:
    answer = answer_to(STREAM, chunk(delta(content="a")), chunk(delta(content="", finish="stop")), STREAM_END)
    assert (answer.fault, answer.detail) == (Fault.ERROR, "broke_off")
    assert answer_to(STREAM, STREAM_END).detail == "broke_off"


def test_an_error_event_is_an_error_even_with_a_done_behind_it() -> None:
    error = b'data: {"error":{"message":"%s","code":500}}\n\n' % SECRET.encode()
    answer = answer_to(*stream(delta(content="a"), error))
    assert (answer.fault, answer.detail, answer.chunks) == (Fault.ERROR, "error_event", 1)


def test_an_event_that_is_no_json_is_an_error() -> None:
    assert answer_to(*stream(delta(content="a"), b"data: {oops\n\n")).detail == "bad_event"


def test_a_server_that_ends_its_http_badly_after_done_has_answered() -> None:
    done = chunk(delta(content="a")), chunk(DONE)
    assert answer_to(STREAM, *done, End.CLOSE).fault == Fault.NONE
    assert answer_to(STREAM, *done, b"zz\r\n").fault == Fault.NONE


def test_a_server_that_never_answers_is_given_up_at_first_by_and_left() -> None:
    with LoadServer([20.0]) as server:
        due = time.perf_counter() + 0.2
        answer = ask(server.url, first_by=due, end_by=due + 10)
    assert (answer.fault, answer.status, answer.detail) == (Fault.TIMEOUT, 0, "first")
    assert due - 0.01 <= answer.ended < due + 9
    assert math.isnan(answer.first)


def test_heartbeats_do_not_stay_the_first_limit() -> None:
    beats = [step for _ in range(400) for step in (chunk(b": heartbeat\n\n"), 0.02)]
    answer = answer_to(STREAM, *beats, first_by=time.perf_counter() + 0.3)
    assert (answer.fault, answer.status, answer.detail) == (Fault.TIMEOUT, 200, "first")


def test_a_stream_that_stops_is_given_up_at_end_by_and_not_at_first_by() -> None:
    now = time.perf_counter()
    tokens = STREAM, chunk(delta(content="a")), 20.0
    answer = answer_to(*tokens, first_by=now + 0.2, end_by=now + 0.5)
    assert (answer.fault, answer.detail, answer.chunks) == (Fault.TIMEOUT, "end", 1)
    assert answer.ended >= now + 0.49


def test_an_end_limit_alone_covers_the_wait_for_the_first_token_too() -> None:
    answer = answer_to(20.0, end_by=time.perf_counter() + 0.2)
    assert (answer.fault, answer.detail) == (Fault.TIMEOUT, "end")


def test_a_limit_that_has_passed_already_ends_the_request_at_its_first_wait() -> None:
    answer = answer_to(20.0, first_by=time.perf_counter() - 5)
    assert answer.fault == Fault.TIMEOUT


def test_nobody_at_the_port_is_a_connect_error() -> None:
    answer = ask(f"http://127.0.0.1:{free_port()}/v1")
    assert (answer.fault, answer.status, answer.detail) == (Fault.ERROR, 0, "connect")
    assert ask("http://no-such-host.invalid/v1").detail == "connect"


def test_what_is_no_http_is_named() -> None:
    assert answer_to(b"SSH-2.0-OpenSSH\r\n\r\n").detail == "bad_http"


def test_a_fresh_connection_closed_without_a_byte_is_an_error_and_not_tried_again() -> None:
    for end, detail in ((End.CLOSE, "closed"), (End.RESET, "reset")):
        with LoadServer([end]) as server:
            answer = ask(server.url)
        assert (answer.fault, answer.detail, len(server.requests)) == (Fault.ERROR, detail, 1)


def test_a_document_that_is_cut_or_no_json_is_an_error() -> None:
    cut = head(content_type="application/json", content_length="100") + b'{"choices":'
    assert answer_to(cut, End.CLOSE, stream=False).detail == "broke_off"
    assert answer_to(document(200, b"<html>"), stream=False).detail == "bad_body"
    assert answer_to(document(200, b'{"error":{"message":"no"}}'), stream=False).detail == "error_body"


def test_no_detail_is_longer_than_its_place_in_a_record_or_says_what_was_said() -> None:
    said = delta(content=SECRET)
    for steps in ([document(500, SECRET.encode())], [STREAM, chunk(said), End.CLOSE], [STREAM, b"x" + said]):
        detail = answer_to(*steps).detail
        assert 0 < len(detail) <= 24
        assert "secret" not in detail


def test_a_greenlet_that_is_killed_leaves_the_server() -> None:
    beats = [step for _ in range(200) for step in (0.02, chunk(b": heartbeat\n\n"))]
    with LoadServer([STREAM, *beats]) as server:
        job = gevent.spawn(ask, server.url)
        gevent.sleep(0.2)
        job.kill()
        assert isinstance(job.value, gevent.GreenletExit)
        assert server.is_left(within=3)


def test_usage_told_before_the_end_broke_off_is_kept() -> None:
    answer = answer_to(STREAM, chunk(delta(usage(1), content="a")), chunk(delta(usage(2), content="b")), End.CLOSE)
    assert (answer.prompt_tokens, answer.output_tokens) == (7, 2)
