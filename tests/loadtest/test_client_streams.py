"""What the client makes of answers that are whole: first and last token, counts, text."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
    LoadServer,
    Step,
    chunk,
    delta,
    document,
    event,
    head,
    stream,
    usage,
)

USER = [{"role": "user", "content": "Say something."}]
ROLE = delta(role="assistant", content="")
FINISH = delta(content="", finish="stop")
CHOICES = [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]
COMPLETION = json.dumps({"choices": CHOICES, "usage": usage(2)}).encode()


def ask(url: str, clock: Callable[[], float] = time.perf_counter, **options: Any) -> Answer:
    client = Client(url, "key", "tiny")
    try:
        return client.ask(Ask(USER, 16, **{"keep_text": True, **options}), clock)
    finally:
        client.close()


def answer_to(*steps: Step, **options: Any) -> Answer:
    with LoadServer(steps) as server:
        return ask(server.url, **options)


def streamed(*events: bytes, **options: Any) -> Answer:
    return answer_to(*stream(*events), **options)


def paused(*groups: Sequence[bytes]) -> Iterator[Step]:
    """Each group is read by itself."""
    yield STREAM
    for group in groups:
        yield chunk(*group)
        yield 0.05
    yield STREAM_END


def test_a_single_token_answer_is_its_own_first_and_last() -> None:
    answer = streamed(ROLE, delta(content="Yes"), FINISH, event(choices=[], usage=usage(1)))
    assert (answer.fault, answer.status, answer.detail) == (Fault.NONE, 200, "")
    assert answer.first == answer.last
    assert (answer.chunks, answer.first_tokens, answer.output_tokens, answer.stall) == (1, 1, 1, 0.0)
    assert answer.sent < answer.first <= answer.ended


def test_usage_that_is_missing_is_told_as_such() -> None:
    answer = streamed(ROLE, delta(content="a"), delta(content="b"), FINISH)
    assert answer.fault == Fault.NONE
    assert (answer.prompt_tokens, answer.output_tokens, answer.cached_tokens) == (-1, -1, -1)


def test_usage_null_on_every_event_hides_the_last_ones_not() -> None:
    tokens = [event(choices=[{"index": 0, "delta": {"content": text}}], usage=None) for text in "abc"]
    answer = streamed(*tokens, event(choices=[], usage=usage(3, 21, cached_tokens=16)))
    assert (answer.prompt_tokens, answer.output_tokens, answer.cached_tokens) == (21, 3, 16)
    assert answer.chunks == 3


def test_the_role_alone_is_no_first_token() -> None:
    answer = answer_to(STREAM, chunk(ROLE), 0.2, chunk(delta(content="a")), 0.2, chunk(FINISH, DONE), STREAM_END)
    assert answer.first == answer.last
    assert answer.first - answer.sent >= 0.2
    assert answer.ended - answer.first >= 0.15


def test_an_empty_finish_or_usage_is_no_last_token() -> None:
    answer = answer_to(*paused([delta(content="a")], [FINISH], [event(choices=[], usage=usage(1)), DONE]))
    assert answer.last == answer.first < answer.ended


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_a_first_token_but_not_the_answers_text(name: str) -> None:
    groups = [ROLE], [delta(**{name: "Hm"})], [delta(**{name: "."})], [delta(content="Yes"), FINISH, DONE]
    answer = answer_to(*paused(*groups))
    assert (answer.chunks, answer.text) == (3, "Yes")
    assert answer.first < answer.last


def test_a_tool_call_is_a_first_token() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "tide", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"hour":'}}
    groups = [ROLE], [delta(tool_calls=[call])], [delta(tool_calls=[more])], [delta(finish="tool_calls"), DONE]
    answer = answer_to(*paused(*groups))
    assert (answer.chunks, answer.text) == (2, "")
    assert answer.first < answer.last < answer.ended


def test_two_tokens_in_one_event_count_by_usage_not_by_chunks() -> None:
    answer = streamed(ROLE, delta(content="one two"), delta(content=" three"), event(choices=[], usage=usage(3)))
    assert (answer.chunks, answer.output_tokens) == (2, 3)


def test_continuous_usage_tells_the_tokens_of_the_first_chunk() -> None:
    first, second = delta(usage(3), content="one two three"), delta(usage(4), content=" four")
    answer = streamed(delta(usage(0), role="assistant", content=""), first, second, event(choices=[], usage=usage(4)))
    assert (answer.first_tokens, answer.output_tokens, answer.chunks) == (3, 4, 2)


def test_several_events_in_one_read_have_its_time() -> None:
    answer = answer_to(*paused([ROLE, delta(content="a"), delta(content="b")], [delta(content="c"), DONE]))
    assert (answer.chunks, answer.text) == (3, "abc")
    assert answer.stall == pytest.approx(answer.last - answer.first)


def test_the_stall_is_the_longest_gap_between_tokens_and_not_the_wait_for_the_first() -> None:
    groups = [ROLE], [], [], [delta(content="a")], [delta(content="b")], [FINISH, DONE]
    answer = answer_to(STREAM, 0.2, *list(paused(*(group for group in groups if group)))[1:])
    assert 0 < answer.stall < 0.2 <= answer.first - answer.sent


def test_heartbeats_before_the_tokens_are_waited_through() -> None:
    """As when a front tries another engine: its client sees comments meanwhile."""
    beat = chunk(b": heartbeat\n\n")
    answer = answer_to(STREAM, beat, 0.1, beat, 0.1, chunk(ROLE, delta(content="a"), DONE), STREAM_END)
    assert (answer.fault, answer.chunks) == (Fault.NONE, 1)
    assert answer.first - answer.sent >= 0.2


def test_other_servers_line_ends_and_missing_spaces_are_understood() -> None:
    tight = delta(content="a").replace(b"data: ", b"data:")
    crlf = delta(content="b").replace(b"\n", b"\r\n")
    named = b"event: message\nid: 3\n" + delta(content="c")
    answer = streamed(tight, crlf, named, b"retry: 3\r\n\r\n")
    assert (answer.fault, answer.text, answer.chunks) == (Fault.NONE, "abc", 3)


def test_a_body_cut_at_every_byte_gives_the_same_answer() -> None:
    events = ROLE, delta(content='"a\\"'), delta(content="ü\n"), delta(content='"content":""'), FINISH
    body = b"".join((*events, event(choices=[], usage=usage(3)), DONE))
    crumbs = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
    for answer in (answer_to(STREAM, chunk(body), STREAM_END), answer_to(STREAM, crumbs, STREAM_END)):
        assert (answer.text, answer.chunks, answer.output_tokens) == ('"a\\"ü\n"content":""', 3, 3)


def test_text_is_kept_on_demand_only() -> None:
    assert streamed(delta(content="a"), keep_text=False).text == ""


def test_without_a_stream_the_whole_body_is_the_first_token() -> None:
    with LoadServer([document(200, COMPLETION)]) as server:
        answer = ask(server.url, stream=False)
    assert answer.first == answer.last == answer.ended
    assert (answer.text, answer.output_tokens, answer.first_tokens) == ("Yes.", 2, 2)
    assert "stream_options" not in server.requests[0][1]


def test_a_document_in_answer_to_a_streaming_request_is_an_answer() -> None:
    assert answer_to(document(200, COMPLETION)).text == "Yes."


def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    events = delta(content="a"), delta(content="b"), DONE
    with LoadServer([head(content_type="text/event-stream"), *events]) as server:
        gevent.spawn_later(0.2, server.drop_connections)
        answer = ask(server.url)
    assert (answer.fault, answer.text) == (Fault.NONE, "ab")


def test_only_the_given_clock_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: -3600.0 * next(steps))
    answer = streamed(ROLE, delta(content="a"), clock=lambda: time.perf_counter() + 1e6)
    began = time.perf_counter() + 1e6
    assert began - 60 < answer.sent < answer.first <= answer.ended < began


def test_a_stalled_server_delays_every_first_token_and_no_request() -> None:
    """Coordinated omission: requests leave on time while nothing comes back, and all of the wait is in their times."""
    stall = threading.Event()
    held: list[Step] = [stall, *stream(delta(content="a"))]
    with LoadServer(held) as server:
        jobs = [gevent.spawn_later(0.05 * number, ask, server.url) for number in range(4)]
        gevent.sleep(0.4)
        released = time.perf_counter()
        stall.set()
        gevent.joinall(jobs, raise_error=True)
    answers = [job.value for job in jobs]
    assert len(server.requests) == 4
    assert all(answer.sent < released < answer.first for answer in answers)
    waits = [answer.first - answer.sent for answer in answers]
    assert waits == sorted(waits, reverse=True)


def test_an_answer_without_a_token_has_no_first() -> None:
    answer = streamed(ROLE, FINISH)
    assert (answer.fault, answer.chunks) == (Fault.NONE, 0)
    assert math.isnan(answer.first)
    assert math.isnan(answer.last)
