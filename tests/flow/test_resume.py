"""Streams that go on where their client lost them, from the log that any replica reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.flow.test_stored_chat import store as store_chat
from tests.flow.test_stored_responses import stored
from tests.support.cold_front import ColdFront
from tests.support.raw_http import Answer, Wire, request
from tests.support.redis_server import RedisServer

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def numbered(*numbers: int) -> list[bytes]:
    """Events of a response."""
    kind = b"response.output_text.delta"
    content = b'{"type": "%b", "sequence_number": %d, "delta": "%d "}'
    return [b"event: %b\ndata: %b\n\n" % (kind, content % (kind, number, number)) for number in numbers]


def chat_events(*numbers: int) -> list[bytes]:
    choice = b'{"index": 0, "delta": {"content": "%d "}, "finish_reason": null}'
    return [b'id: %d\ndata: {"id": "c", "choices": [' % n + choice % n + b"]}\n\n" for n in numbers]


@pytest.fixture
def stream(cold: ColdFront, request: pytest.FixtureRequest) -> str:
    """Of a response: events 0 to 9 in batches of three, ended."""
    name = f"resp_{abs(hash(request.node.name))}"
    cold.write(name, *numbered(0, 1, 2))
    cold.write(name, *numbered(3, 4, 5))
    cold.write(name, *numbered(6, 7, 8))
    cold.write(name, *numbered(9), ends=True)
    return name


def resumed(cold: ColdFront, stream: str, after: int | str | None = None, **options: Any) -> Answer:
    query = "" if after is None else f"&starting_after={after}"
    return cold.ask(f"{RESPONSES}/{stream}?stream=true{query}", **options)


@pytest.mark.parametrize("after", [None, *range(10)])
def test_exactly_the_events_after_a_number_come(cold: ColdFront, stream: str, after: int | None) -> None:
    answer = resumed(cold, stream, after)
    assert (answer.status, answer.end) == (200, "complete")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"]
    assert answer.body == b"".join(numbered(*range(0 if after is None else after + 1, 10)))


def test_the_openai_client_resumes_a_response(cold: ColdFront, stream: str) -> None:
    events = cold.client().responses.retrieve(stream, stream=True, starting_after=4)
    assert [event.sequence_number for event in events] == [5, 6, 7, 8, 9]  # type: ignore[union-attr]


def test_a_chat_stream_goes_on_after_its_last_event_id(cold: ColdFront) -> None:
    whole = [*chat_events(0, 1, 2), b"id: 3\ndata: [DONE]\n\n"]
    cold.write("chatcmpl-1", *whole, ends=True)
    path = f"{CHAT}/chatcmpl-1?stream=true"
    assert cold.ask(path, headers={"Last-Event-ID": "1"}).events == whole[2:]
    assert cold.ask(f"{path}&starting_after=1").events == whole[2:]
    assert cold.ask(path).text == "0 1 2 "


def test_a_stream_that_still_runs_is_followed_to_its_end(cold: ColdFront) -> None:
    cold.write("resp_live", *numbered(0, 1, 2))
    with Wire(cold.address) as wire:
        wire.send(request(f"{RESPONSES}/resp_live?stream=true&starting_after=1", key="key-red"))
        answer = wire.head()
        events = wire.events(answer)
        assert next(events) == numbered(2)[0]
        for number in (3, 4):
            cold.write("resp_live", *numbered(number))
            assert next(events) == numbered(number)[0]
        cold.write("resp_live", *numbered(5), ends=True)
        assert list(events) == numbered(5)
    assert answer.end == "complete"


def test_many_clients_follow_one_stream(cold: ColdFront) -> None:
    cold.write("resp_many", *numbered(0))
    answers: list[Answer] = []
    clients = [threading.Thread(target=lambda: answers.append(resumed(cold, "resp_many"))) for _ in range(8)]
    for client in clients:
        client.start()
    for number in range(1, 20):
        cold.write("resp_many", *numbered(number), ends=number == 19)
    for client in clients:
        client.join()
    assert {answer.body for answer in answers} == {b"".join(numbered(*range(20)))}


def test_a_client_may_know_more_than_the_log_does_yet(cold: ColdFront) -> None:
    cold.write("resp_ahead", *numbered(0))
    late = threading.Timer(0.3, lambda: cold.write("resp_ahead", *numbered(1, 2, 3, 4), ends=True))
    late.start()
    assert resumed(cold, "resp_ahead", 2).body == b"".join(numbered(3, 4))
    late.join()


def test_silence_is_filled_with_heartbeats(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis, ColdFront(tmp_path, redis, heartbeat_seconds=0.1) as cold:
        cold.write("resp_quiet", *numbered(0))
        late = threading.Timer(0.6, lambda: cold.write("resp_quiet", *numbered(1), ends=True))
        late.start()
        answer = resumed(cold, "resp_quiet")
        late.join()
    assert len(answer.comments) >= 2
    assert answer.events == numbered(0, 1)


ENDS: dict[str, tuple[str, Callable[..., list[bytes]]]] = {
    "response": (RESPONSES, numbered),
    "chat": (CHAT, chat_events),
}


@pytest.mark.parametrize("kind", ENDS)
def test_a_stream_whose_replica_dies_ends_with_an_error_and_a_cut(cold: ColdFront, kind: str) -> None:
    route, events = ENDS[kind]
    cold.write(f"lost_{kind}", *events(0, 1), replica="doomed")
    cold.lose("doomed")
    answer = cold.ask(f"{route}/lost_{kind}?stream=true")
    assert answer.end == "cut"
    assert answer.events[:-1] == events(0, 1)
    assert b"stream_lost" in answer.events[-1]
    assert b"[DONE]" not in answer.body


def test_a_stream_that_failed_fails_for_whoever_resumes_it(cold: ColdFront) -> None:
    failure = b'event: error\ndata: {"type": "error", "code": "engine_failed", "message": "x", "param": null}\n\n'
    cold.write("resp_failed", *numbered(0), failure, ends=True)
    answer = resumed(cold, "resp_failed", 0)
    assert (answer.end, answer.body) == ("cut", failure)
    with pytest.raises(openai.APIError):
        list(cold.client().responses.retrieve("resp_failed", stream=True))


@pytest.mark.parametrize("after", ["10", "999999999", "9999999999", "-1", "x", "1.0", ""])
def test_a_number_that_is_no_event_is_refused_by_name(cold: ColdFront, stream: str, after: str) -> None:
    answer = resumed(cold, stream, after)
    assert (answer.status, answer.error["param"]) == (400, "starting_after")


def test_a_bad_header_is_refused_by_name(cold: ColdFront, stream: str) -> None:
    answer = resumed(cold, stream, headers={"Last-Event-ID": "abc"})
    assert (answer.status, answer.error["param"]) == (400, "Last-Event-ID")
    assert cold.ask(f"{RESPONSES}/{stream}?stream=maybe").error["param"] == "stream"


def test_events_that_are_no_longer_kept_are_410_and_the_answer_is_there(cold: ColdFront) -> None:
    response_id, completion_id = stored(cold), store_chat(cold, "chatcmpl-old", 0)
    for path in (f"{RESPONSES}/{response_id}", f"{CHAT}/{completion_id}"):
        answer = cold.ask(f"{path}?stream=true&starting_after=3")
        assert (answer.status, answer.error["code"]) == (410, "stream_expired")
        assert "without `stream`" in answer.error["message"]
        assert cold.ask(path).status == 200


def test_a_stream_of_another_tenant_is_one_that_never_was(cold: ColdFront, stream: str) -> None:
    answers = [resumed(cold, stream, team="blue"), resumed(cold, "resp_never")]
    assert {(answer.status, answer.error["code"]) for answer in answers} == {(404, "response_not_found")}


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[tuple[ColdFront, RedisServer]]:
    with RedisServer(tmp_path) as redis, ColdFront(tmp_path, redis) as cold:
        cold.write("resp_1", *numbered(0))
        yield cold, redis
        redis.thaw()


def test_redis_away_is_503_and_in_the_middle_an_error_and_a_cut(frozen: tuple[ColdFront, RedisServer]) -> None:
    cold, redis = frozen
    with Wire(cold.address, timeout=20) as wire:
        wire.send(request(f"{RESPONSES}/resp_1?stream=true", key="key-red"))
        answer = wire.head()
        events = wire.events(answer)
        assert next(events) == numbered(0)[0]
        redis.kill()
        refused = resumed(cold, "resp_1")
        assert (refused.status, refused.error["code"]) == (503, "state_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert b"state_unavailable" in list(events)[-1]
    assert answer.end == "cut"


def test_without_redis_streams_cannot_be_resumed_and_it_says_so(tmp_path: Path) -> None:
    with ColdFront(tmp_path, None) as cold:
        refused = resumed(cold, stored(cold))
    assert (refused.status, refused.error["code"]) == (503, "resume_unavailable")
    assert "Redis" in refused.error["message"]


def test_a_follower_that_leaves_stops_reading(cold: ColdFront, caplog: pytest.LogCaptureFixture) -> None:
    cold.write("resp_left", *numbered(0))
    with Wire(cold.address) as wire:
        wire.send(request(f"{RESPONSES}/resp_left?stream=true", key="key-red")).head()
    time.sleep(0.2)
    cold.write("resp_left", *numbered(1), ends=True)
    assert resumed(cold, "resp_left").events == numbered(0, 1)
    assert "Traceback" not in caplog.text
