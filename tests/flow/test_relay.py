"""What comes out of the front is what the engine said, byte for byte, less what only we asked for."""

from __future__ import annotations

import pytest

from tests.support.raw_http import parsed
from tests.support.script import Script
from tests.support.vllm_wire import DONE, is_usage_only
from tests.support.world import BODIES, CHAT, COMPLETIONS, World

# Generated text that looks like the wire around it.
MIMICS = (
    '"choices":[],"usage":{"completion_tokens":9}',
    "data: [DONE]\n\n",
    '"finish_reason":null',
    '{"error":{"message":"no"}}',
    "\r\n0\r\n\r\n",
    "event: message_stop\n\n",
    ": comment\n\n",
)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_is_relayed_less_the_usage_event_nobody_asked_for(solo: World, path: str) -> None:
    answer = solo.ask(path, {**BODIES[path], "stream": True})
    sent = solo.engine.seen[0].events
    assert is_usage_only(sent[-2])
    assert answer.body == b"".join([*sent[:-2], DONE])


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_is_relayed_with_its_usage_event_if_asked_for(solo: World, path: str) -> None:
    answer = solo.ask(path, {**BODIES[path], "stream": True, "stream_options": {"include_usage": True}})
    assert answer.body == b"".join(solo.engine.seen[0].events)
    assert is_usage_only(answer.events[-2])


def test_include_usage_false_is_not_asked_for(solo: World) -> None:
    answer = solo.say(stream_options={"include_usage": False})
    assert not any(map(is_usage_only, answer.events))


def test_usage_in_every_chunk_stays_in_every_chunk(solo: World) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    answer = solo.say(stream_options=options)
    assert answer.body == b"".join(solo.engine.seen[0].events)
    assert all("usage" in event for event in parsed(answer.events))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("events_per_write", [1, 4])
def test_text_that_looks_like_the_wire_is_text(solo: World, path: str, events_per_write: int) -> None:
    solo.engine.script = Script(MIMICS, events_per_write=events_per_write)
    answer = solo.ask(path, {**BODIES[path], "stream": True})
    assert answer.body == b"".join(event for event in solo.engine.seen[0].events if not is_usage_only(event))
    assert answer.end == "complete"


def test_several_choices_are_relayed(solo: World) -> None:
    answer = solo.say(n=3)
    assert answer.body == b"".join(event for event in solo.engine.seen[0].events if not is_usage_only(event))


def test_a_stream_without_any_token_is_relayed(solo: World) -> None:
    solo.engine.script = Script(tokens=())
    answer = solo.say()
    assert (answer.text, answer.events[-1], answer.end) == ("", DONE, "complete")


def test_a_stream_without_usage_is_relayed(solo: World) -> None:
    solo.engine.script = Script(usage=False)
    answer = solo.say()
    assert answer.body == b"".join(solo.engine.seen[0].events)


@pytest.mark.parametrize("path", BODIES)
def test_a_document_is_relayed(solo: World, path: str) -> None:
    answer = solo.ask(path, BODIES[path])
    assert answer.status == 200
    assert answer.body == solo.engine.seen[0].events[0]
    assert answer.headers["content-type"].startswith("application/json")


def test_the_comments_of_an_engine_are_relayed(solo: World) -> None:
    solo.engine.script = Script(comment=b": keep-alive\n\n", first_delay=0.05)
    answer = solo.say()
    assert answer.comments == [b": keep-alive\n\n"]
    assert (answer.text, answer.end) == ("Hello, world", "complete")


def test_a_stream_may_not_be_buffered_or_cached_on_its_way(solo: World) -> None:
    headers = solo.say().headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-request-id"]


def test_engine_headers_stay_inside(solo: World) -> None:
    solo.engine.script = Script(headers={"X-Secret-Node": "10.0.0.7", "Set-Cookie": "a=b"})
    for stream in (True, False):
        headers = solo.say(stream=stream).headers
        assert not {"x-secret-node", "set-cookie", "x-vllm"} & headers.keys()
        assert headers.get("server", "") != "uvicorn"


def test_each_event_arrives_when_the_engine_says_it(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=2)
    with solo.wire() as wire:
        answer = wire.send(solo.chat()).head()
        events = wire.events(answer)
        assert [next(events), next(events)] == solo.engine.wait_for().events
        assert wire.is_silent(0.1)
        solo.engine.seen[0].release()
        assert list(events)[-1] == DONE


def test_request_ids_are_ours_and_never_repeat(solo: World) -> None:
    answers = [solo.say(headers={"X-Request-Id": "mine"}) for _ in range(3)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    assert "mine" not in ids
