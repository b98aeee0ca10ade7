"""Idempotency-Key: one answer, one generation and one turn, whoever asks again, wherever and whenever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.raw_http import Answer
from tests.support.script import BEFORE_HEAD, Script
from tests.support.two_fronts import TwoFronts, answered, chat, new_id
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, EMBEDDINGS, RESPONSES

Ask = dict[str, Any]


def keyed(key: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Idempotency-Key": key}}


def is_replay(answer: Answer) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [*BODIES, EMBEDDINGS])
def test_the_same_request_again_gets_the_same_bytes(fronts: TwoFronts, path: str, stream: bool) -> None:
    body = {**BODIES[path], "stream": stream} if path in BODIES else {"model": "tiny", "input": ["a", "b"]}
    key = keyed(new_id("key"))
    first, second = (fronts.ask(path, body, front=front, **key) for front in (0, 1))
    assert (first.status, second.status) == (200, 200)
    assert (second.body, second.end) == (first.body, "complete")
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert len(fronts.engine.seen) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_requests_at_once_from_two_fronts_are_generated_once(fronts: TwoFronts, stream: bool) -> None:
    fronts.engine.script = Script(first_delay=0.3)
    session, key = new_id(), keyed(new_id("key"))
    with ThreadPoolExecutor(6) as threads:
        asked = [
            threads.submit(fronts.say, session_id=session, stream=stream, front=number % 2, **key)
            for number in range(6)
        ]
        answers = [one.result() for one in asked]
    assert len({answer.body for answer in answers}) == 1
    assert {answer.status for answer in answers} == {200}
    assert len(fronts.engine.seen) == 1
    assert len(fronts.kept(session)) == 2


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_client_that_left_gets_the_whole_answer_when_it_asks_again(fronts: TwoFronts, path: str) -> None:
    session, key = fronts.client().conversations.create().id, keyed(new_id("key"))
    body = {**BODIES[path], "store": True, "stream": True}
    body["session_id" if path == CHAT else "conversation"] = session
    fronts.engine.script = Script(fault="hang", at=5)
    with fronts.half_way(fronts.request(path, body, **key)):
        seen = fronts.engine.wait_for()
    with ThreadPoolExecutor(1) as threads:
        again = threads.submit(fronts.ask, path, body, front=1, **key)
        seen.release()
        answer = again.result()
    assert (answer.status, answer.end, is_replay(answer)) == (200, "complete", True)
    assert b"[DONE]" in answer.body or b"event: response.completed" in answer.body
    assert len(fronts.engine.seen) == 1
    assert [status for *_, status in fronts.kept(session)] == ["completed"] * 2


def test_a_key_whose_front_was_killed_is_generated_once_more_and_kept_once(fronts: TwoFronts) -> None:
    session, key = new_id(), keyed(new_id("key"))
    fronts.engine.next(Script(fault="hang", at=3))
    with fronts.half_way(fronts.request(CHAT, chat("one", session_id=session, stream=True), **key)):
        fronts.fronts[0].kill()
    answer = fronts.say("one", session_id=session, stream=True, front=1, **key)
    assert (answer.text, answer.end) == ("Hello, world", "complete")
    assert fronts.say("one", session_id=session, stream=True, front=1, **key).body == answer.body
    assert len(fronts.engine.seen) == 2
    fronts.say("two", session_id=session, front=1)
    assert fronts.shown() == [*answered("one"), ("user", "two")]


def test_a_key_belongs_to_a_team(fronts: TwoFronts) -> None:
    key = keyed(new_id("key"))
    first, second = fronts.say("one", **key), fronts.say("two", team="blue", **key)
    assert (first.status, second.status, is_replay(second)) == (200, 200, False)
    assert len(fronts.engine.seen) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"text": "two"},
        {"stream": True},
        {"temperature": 0.5},
    ],
    ids=["text", "stream", "sampling"],
)
def test_a_key_that_comes_with_another_body_is_refused(fronts: TwoFronts, other: Ask) -> None:
    key = keyed(new_id("key"))
    fronts.say(**key)
    answer = fronts.say(**{"text": "Hello", **other}, front=1, **key)
    assert (answer.status, answer.error["code"]) == (400, "idempotency_key_reused")
    assert answer.error["param"] == "Idempotency-Key"
    assert len(fronts.engine.seen) == 1


def test_a_key_that_comes_for_another_session_or_route_is_refused(fronts: TwoFronts) -> None:
    key, session = new_id("key"), new_id()
    fronts.say(headers={"Idempotency-Key": key, "X-Session-Id": session})
    answer = fronts.say(headers={"Idempotency-Key": key, "X-Session-Id": new_id()})
    assert (answer.status, answer.error["code"]) == (400, "idempotency_key_reused")
    answer = fronts.ask("/v1/messages", BODIES["/v1/messages"], **keyed(key))
    assert answer.status == 400


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failure", ["500", "400", "broken"])
def test_a_first_try_that_failed_lets_the_next_one_generate(fronts: TwoFronts, failure: str, stream: bool) -> None:
    session, key = new_id(), keyed(new_id("key"))
    broken = Script(fault="rst", at=3 if stream else 0)
    fronts.engine.next(*[broken if failure == "broken" else Script(status=int(failure))] * 3)
    first = fronts.say("one", session_id=session, stream=stream, **key)
    assert first.status >= 400 or first.end == "cut"
    fronts.engine.queue.clear()
    second = fronts.say("one", session_id=session, stream=stream, front=1, **key)
    assert (second.status, second.end, is_replay(second)) == (200, "complete", False)
    assert len(fronts.kept(session)) == 2


def test_a_body_that_was_refused_can_be_mended_under_its_key(fronts: TwoFronts) -> None:
    key = keyed(new_id("key"))
    fronts.engine.next(Script(status=400))
    assert fronts.say("wrong", **key).status == 400
    assert fronts.say("right", front=1, **key).status == 200


def test_a_key_and_a_session_are_exactly_one_turn(fronts: TwoFronts) -> None:
    session, key = new_id(), keyed(new_id("key"))
    for number in range(4):
        fronts.say("one", session_id=session, front=number % 2, **key)
    fronts.say("two", session_id=session)
    assert fronts.shown() == [*answered("one"), ("user", "two")]


def test_the_same_words_under_two_keys_are_two_turns(fronts: TwoFronts) -> None:
    session = new_id()
    for _ in range(2):
        assert fronts.say("yes", session_id=session, **keyed(new_id("key"))).status == 200
    assert [text for role, text, _ in fronts.kept(session) if role == "user"] == ["yes", "yes"]


def test_a_turn_that_lost_its_race_can_be_sent_again_under_its_key(fronts: TwoFronts) -> None:
    session, key = new_id(), keyed(new_id("key"))
    fronts.engine.next(Script(fault="hang", at=BEFORE_HEAD))
    with fronts.wire() as slow:
        slow.send(fronts.request(CHAT, chat("slow", session_id=session), **key))
        seen = fronts.engine.wait_for()
        fronts.say("fast", session_id=session, front=1)
        seen.release()
        assert slow.answer().status == 409
    assert eventually(lambda: fronts.say("slow", session_id=session, front=1, **key).status == 200)
    assert fronts.shown() == [*answered("fast"), ("user", "slow")]


def test_a_replay_names_its_session(fronts: TwoFronts) -> None:
    session, key = new_id(), keyed(new_id("key"))
    first, second = (fronts.say(session_id=session, front=front, **key) for front in (0, 1))
    assert first.headers["x-session-id"] == second.headers["x-session-id"] == session


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "tab\tbed"])
def test_a_key_that_can_be_none_is_refused(fronts: TwoFronts, key: str) -> None:
    answer = fronts.say(**keyed(key))
    assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
    assert not fronts.engine.seen


def test_any_printable_key_of_255_characters_will_do(fronts: TwoFronts) -> None:
    key = keyed(f"{new_id('key')} /?#\"'{{}}".ljust(255, "~"))
    assert fronts.say(**key).body == fronts.say(front=1, **key).body
