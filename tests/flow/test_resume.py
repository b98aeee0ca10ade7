"""Streams that go on where their client lost them, from the log that any replica reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.flow.test_stored_chat import completion
from tests.flow.test_stored_responses import stored
from tests.support import vllm_wire
from tests.support.cold_front import ColdFront
from tests.support.raw_http import Answer, Wire, parsed, request
from tests.support.script import Script, tokens
from tests.support.state_world import StateWorld

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
    with cold.wire() as wire:
        wire.send(cold.request(f"{RESPONSES}/resp_live?stream=true&starting_after=1"))
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
    with ColdFront(tmp_path, heartbeat_seconds=0.1) as cold:
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
    response_id, completion_id = stored(cold), "chatcmpl-old"
    cold.put_all([completion(completion_id, 0)])
    for path in (f"{RESPONSES}/{response_id}", f"{CHAT}/{completion_id}"):
        answer = cold.ask(f"{path}?stream=true&starting_after=3")
        assert (answer.status, answer.error["code"]) == (410, "stream_expired")
        assert "without `stream`" in answer.error["message"]
        assert cold.ask(path).status == 200


def test_the_events_of_what_was_deleted_are_gone_too(cold: ColdFront) -> None:
    response_id = stored(cold)
    cold.write(response_id, *numbered(0, 1), ends=True)
    cold.put_all([completion("chatcmpl-gone", 0)])
    cold.write("chatcmpl-gone", *chat_events(0, 1), ends=True)
    for path in (f"{RESPONSES}/{response_id}", f"{CHAT}/chatcmpl-gone"):
        assert cold.ask(f"{path}?stream=true").status == 200
        assert cold.ask(path, method="DELETE").status == 200
        assert cold.ask(f"{path}?stream=true").status == 404


def test_a_stream_of_another_tenant_is_one_that_never_was(cold: ColdFront, stream: str) -> None:
    answers = [resumed(cold, stream, team="blue"), resumed(cold, "resp_never")]
    assert {(answer.status, answer.error["code"]) for answer in answers} == {(404, "response_not_found")}


def test_redis_away_is_503_and_in_the_middle_an_error_and_a_cut(tmp_path: Path) -> None:
    with ColdFront(tmp_path) as cold, cold.wire() as wire:
        cold.write("resp_1", *numbered(0))
        wire.send(cold.request(f"{RESPONSES}/resp_1?stream=true"))
        answer = wire.head()
        events = wire.events(answer)
        assert next(events) == numbered(0)[0]
        assert cold.world.redis is not None
        cold.world.redis.kill()
        refused = resumed(cold, "resp_1")
        assert (refused.status, refused.error["code"]) == (503, "state_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert b"state_unavailable" in list(events)[-1]
        assert answer.end == "cut"


def test_without_redis_streams_cannot_be_resumed_and_it_says_so(tmp_path: Path) -> None:
    with ColdFront(tmp_path, redis=False) as cold:
        refused = resumed(cold, stored(cold))
    assert (refused.status, refused.error["code"]) == (503, "resume_unavailable")
    assert "Redis" in refused.error["message"]


def test_a_follower_that_leaves_does_no_harm(cold: ColdFront) -> None:
    cold.write("resp_left", *numbered(0))
    with cold.wire() as wire:
        wire.send(cold.request(f"{RESPONSES}/resp_left?stream=true")).head()
    time.sleep(0.2)
    cold.write("resp_left", *numbered(1), ends=True)
    assert resumed(cold, "resp_left").events == numbered(0, 1)
    assert "Traceback" not in "".join(cold.front.complaints)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateWorld]:
    with StateWorld(tmp_path_factory.mktemp("two")) as world:
        yield world


SLOW = Script(tokens=tokens(40), gap=0.02)
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": True},
    RESPONSES: {"model": "tiny", "input": "Hello", "stream": True},
}


def begin(world: StateWorld, route: str, events: int) -> tuple[str, list[bytes]]:
    """The id of a resumable stream of the first front, and the events that its client has read before it left."""
    asked = request(route, BODIES[route], key=world.keys["red"], headers={"X-Tidegate-Resumable": "true"})
    with Wire(world.fronts[0].address) as wire:
        stream = wire.send(asked).events(wire.head())
        seen = [next(stream) for _ in range(events)]
    content = parsed(seen)[0]
    return content.get("response", content)["id"], seen


@pytest.mark.parametrize("route", BODIES)
@pytest.mark.parametrize("read", [1, 7])
def test_a_stream_that_was_left_goes_on_at_another_front(two: StateWorld, route: str, read: int) -> None:
    two.engine.next(SLOW)
    stream, seen = begin(two, route, read)
    rest = two.get(1, f"{route}/{stream}?stream=true&starting_after={read - 1}")
    assert rest.end == "complete"
    whole = two.get(1, f"{route}/{stream}?stream=true")
    assert whole.events == seen + rest.events
    produced = [event for event in two.engine.seen[-1].events if not vllm_wire.is_usage_only(event)]
    assert len(whole.events) == len(produced)
    if route == CHAT:
        assert whole.text == "".join(SLOW.tokens)
        assert [int(event.split(b"\n")[0].removeprefix(b"id: ")) for event in whole.events] == list(
            range(len(produced))
        )


@pytest.mark.parametrize("route", BODIES)
def test_a_stream_whose_front_is_killed_ends_with_an_error_at_another(two: StateWorld, route: str) -> None:
    two.engine.next(Script(tokens=tokens(400), gap=0.02))
    stream, _ = begin(two, route, 5)
    two.kill(0)
    try:
        rest = two.get(1, f"{route}/{stream}?stream=true&starting_after=4")
        assert (rest.status, rest.end) == (200, "cut")
        assert b"stream_lost" in rest.events[-1]
        assert b"[DONE]" not in rest.body
    finally:
        two.restart(0)


def test_a_background_stream_is_followed_while_it_runs_and_ends_when_cancelled(two: StateWorld) -> None:
    two.engine.next(Script(tokens=tokens(400), gap=0.02))
    here, there = two.client(0), two.client(1)
    conversation = here.conversations.create().id
    made = here.responses.create(model="tiny", input="Hello", background=True, stream=True, conversation=conversation)
    first: Any = next(iter(made))
    made.close()
    follower = iter(there.responses.retrieve(first.response.id, stream=True))
    assert [next(follower).sequence_number for _ in range(10)] == list(range(10))  # type: ignore[union-attr]
    assert there.responses.cancel(first.response.id).status == "cancelled"
    with pytest.raises(openai.APIError):
        list(follower)
    assert here.responses.retrieve(first.response.id).status == "cancelled"
    assert there.conversations.items.list(conversation).data == []


def test_a_follower_is_told_when_its_front_stops_and_goes_on_at_another(tmp_path: Path) -> None:
    with StateWorld(tmp_path, settings={"front.drain_seconds": 1}) as stopping:
        stopping.engine.next(Script(tokens=tokens(200), gap=0.02))
        stream, _ = begin(stopping, RESPONSES, 1)
        with Wire(stopping.fronts[1].address) as wire:
            wire.send(request(f"{RESPONSES}/{stream}?stream=true", key=stopping.keys["red"]))
            answer = wire.head()
            events = wire.events(answer)
            seen = [next(events)]
            stopping.fronts[1].process.terminate()
            seen += [event for event in events if not event.startswith(b":")]
        assert (answer.end, b"shutting_down" in seen.pop()) == ("cut", True)
        assert stopping.fronts[1].process.wait(10) == 0
        assert "Traceback" not in "".join(stopping.fronts[1].complaints)
        rest = stopping.get(0, f"{RESPONSES}/{stream}?stream=true&starting_after={len(seen) - 1}")
        assert (rest.end, len(seen + rest.events)) == ("complete", len(stopping.engine.seen[-1].events))
