"""How a turn ends: kept whole, kept as far as its client saw it, or dropped; the next turn knows which."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.raw_http import Answer, parsed
from tests.support.script import BEFORE_HEAD, Script
from tests.support.two_fronts import TwoFronts, answered, chat, new_id
from tests.support.waiting import eventually
from tests.support.world import CHAT, RESPONSES

AFTER_TWO_TOKENS = Script(fault="hang", at=3)


@pytest.fixture(params=[CHAT, RESPONSES])
def path(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def session(fronts: TwoFronts) -> str:
    """One that both APIs know."""
    return fronts.client().conversations.create().id


def body(path: str, session: str, text: str = "one", **fields: Any) -> dict[str, Any]:
    if path == CHAT:
        return chat(text, session_id=session, **fields)
    return {"model": "tiny", "input": text, "conversation": session, **fields}


def settled(fronts: TwoFronts, session: str) -> list[tuple[str, str, str]]:
    """What is kept once nothing more is coming."""
    eventually(lambda: fronts.fronts[0].metric("tidegate_requests_in_flight") == 0, what="the end of the request")
    time.sleep(0.1)
    return fronts.kept(session)


def test_a_client_that_leaves_in_the_middle_leaves_an_incomplete_turn(
    fronts: TwoFronts, path: str, session: str
) -> None:
    events = 3 if path == CHAT else 6
    fronts.engine.next(Script(fault="hang", at=events))
    with fronts.half_way(fronts.request(path, body(path, session, stream=True)), events=events):
        seen = fronts.engine.wait_for()
    eventually(lambda: seen.left_at is not None, within=2, what="the engine being freed")
    assert settled(fronts, session) == [("user", "one", "completed"), ("assistant", "Hello, ", "incomplete")]
    fronts.ask(path, body(path, session, "two"), front=1)
    assert fronts.shown() == [*answered("one", by="Hello, "), ("user", "two")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_event_leaves_nothing(
    fronts: TwoFronts, path: str, session: str, stream: bool
) -> None:
    fronts.engine.next(Script(fault="hang", at=0 if stream else BEFORE_HEAD))
    with fronts.wire() as wire:
        wire.send(fronts.request(path, body(path, session, stream=stream)))
        fronts.engine.wait_for()
        time.sleep(0.05)
    assert settled(fronts, session) == []
    fronts.ask(path, body(path, session, "two"), front=1)
    assert fronts.shown() == [("user", "two")]


def test_a_client_that_leaves_a_document_leaves_nothing(fronts: TwoFronts, path: str, session: str) -> None:
    fronts.engine.next(Script(first_delay=0.5))
    with fronts.wire() as wire:
        wire.send(fronts.request(path, body(path, session)))
        fronts.engine.wait_for()
    assert settled(fronts, session) == []


@pytest.mark.parametrize("fault", ["rst", "fin", "clean_end"])
def test_an_engine_that_dies_in_the_middle_drops_the_turn(
    fronts: TwoFronts, path: str, session: str, fault: Any
) -> None:
    fronts.engine.next(Script(fault=fault, at=3 if path == CHAT else 6))
    answer = fronts.ask(path, body(path, session, stream=True))
    assert (answer.status, answer.end) == (200, "cut")
    assert error_of(answer)["code"] == "engine_failed"
    assert settled(fronts, session) == []
    fronts.ask(path, body(path, session, "two"), front=1)
    assert fronts.shown() == [("user", "two")]


def error_of(answer: Answer) -> dict[str, Any]:
    """The last event's error, in either API's words."""
    assert b"[DONE]" not in answer.body
    assert b"event: response.completed" not in answer.body
    last: dict[str, Any] = parsed(answer.events)[-1]
    return last.get("error", last)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 500])
def test_a_turn_that_an_engine_refuses_or_fails_is_dropped(
    fronts: TwoFronts, path: str, session: str, status: int, stream: bool
) -> None:
    fronts.engine.script = Script(status=status)
    assert fronts.ask(path, body(path, session, stream=stream)).status >= 400
    assert settled(fronts, session) == []


@pytest.mark.parametrize("content", [b"{}", b'{"choices": []}', b'{"choices": [{"index": 0}]}', b'{"output": 7}'])
def test_an_answer_that_is_none_is_an_engines_failure(
    fronts: TwoFronts, path: str, session: str, content: bytes
) -> None:
    fronts.engine.script = Script(body=content)
    answer = fronts.ask(path, body(path, session, store=True))
    assert (answer.status, answer.error["code"]) == (502, "engine_failed")
    assert settled(fronts, session) == []


def test_a_session_that_never_had_a_whole_turn_is_none(fronts: TwoFronts) -> None:
    session = new_id()
    fronts.engine.next(Script(status=400))
    fronts.say(session_id=session)
    assert fronts.ask(f"/v1/conversations/{session}").status == 404


@pytest.mark.parametrize("stream", [False, True])
def test_a_stopping_front_ends_its_turns_and_keeps_them(
    fronts: TwoFronts, path: str, session: str, stream: bool
) -> None:
    fronts.engine.next(Script(first_delay=0.4, gap=0.05))
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(fronts.ask, path, body(path, session, stream=stream))
        fronts.engine.wait_for()
        assert fronts.fronts[0].terminate() == 0
        assert (asked.result().status, asked.result().end) == (200, "complete")
    assert fronts.kept(session) == [("user", "one", "completed"), ("assistant", "Hello, world", "completed")]


def test_a_client_that_leaves_a_resumable_stream_leaves_a_whole_turn(fronts: TwoFronts, session: str) -> None:
    fronts.engine.next(AFTER_TWO_TOKENS)
    headers = {"X-Tidegate-Resumable": "true"}
    with fronts.half_way(fronts.request(CHAT, body(CHAT, session, stream=True), headers=headers)):
        seen = fronts.engine.wait_for()
    time.sleep(0.1)
    assert seen.left_at is None
    seen.release()
    assert settled(fronts, session) == [("user", "one", "completed"), ("assistant", "Hello, world", "completed")]


def test_a_client_that_left_after_it_lost_its_race_leaves_nothing(fronts: TwoFronts, session: str) -> None:
    fronts.engine.next(AFTER_TWO_TOKENS)
    with fronts.half_way(fronts.request(CHAT, body(CHAT, session, stream=True))):
        fronts.engine.wait_for()
        assert fronts.say("two", session_id=session, front=1).status == 200
    assert settled(fronts, session) == [("user", "two", "completed"), ("assistant", "Hello, world", "completed")]
    assert fronts.say("three", session_id=session).status == 200
    assert fronts.shown() == [*answered("two"), ("user", "three")]


def test_words_whose_answer_was_left_can_be_said_again(fronts: TwoFronts, session: str) -> None:
    fronts.engine.next(AFTER_TWO_TOKENS)
    with fronts.half_way(fronts.request(CHAT, body(CHAT, session, stream=True))):
        fronts.engine.wait_for()
    settled(fronts, session)
    assert fronts.say("one", session_id=session).status == 200
    assert [status for *_, status in fronts.kept(session)] == ["completed", "incomplete", "completed", "completed"]
