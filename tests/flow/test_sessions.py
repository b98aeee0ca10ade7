"""Turns of a session: seen by the next one from every front, kept before they are acknowledged, refused when raced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.raw_http import Answer, parsed
from tests.support.script import Script
from tests.support.state_world import TEAMS
from tests.support.two_fronts import TwoFronts, answered, chat, new_id
from tests.support.waiting import eventually
from tests.support.world import CHAT, RESPONSES

HELLO = "Hello, world"
STATE = {"session_id", "store", "metadata", "history", "conversation", "previous_response_id", "background"}


def is_done(answer: Answer) -> bool:
    return answer.events[-1] == b"data: [DONE]\n\n" and answer.end == "complete"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("other", [0, 1], ids=["same-front", "other-front"])
def test_the_second_turn_sees_the_first(fronts: TwoFronts, stream: bool, other: int) -> None:
    session = new_id()
    assert fronts.say("one", session_id=session, stream=stream).status == 200
    assert fronts.say("two", session_id=session, stream=stream, front=other).status == 200
    assert fronts.shown() == [*answered("one"), ("user", "two")]


def test_body_and_header_name_the_same_session(fronts: TwoFronts) -> None:
    session = new_id()
    fronts.say("one", session_id=session)
    fronts.say("two", headers={"X-Session-Id": session})
    fronts.say("three", headers={"X-Session-Id": session}, session_id=session)
    assert fronts.shown() == [*answered("one", "two"), ("user", "three")]


def test_two_names_for_one_session_are_refused(fronts: TwoFronts) -> None:
    answer = fronts.say(session_id="a", headers={"X-Session-Id": "b"})
    assert (answer.status, answer.error["param"]) == (400, "session_id")
    assert not fronts.engine.seen


@pytest.mark.parametrize("stream", [False, True])
def test_the_session_is_named_in_a_header_of_the_answer(fronts: TwoFronts, stream: bool) -> None:
    session = new_id()
    assert fronts.say(session_id=session, stream=stream).headers["x-session-id"] == session
    assert fronts.say(stream=stream, headers={"X-Session-Id": session}).headers["x-session-id"] == session


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "tab\t", "é", 7, ["s"], {"id": "s"}, True])
def test_an_id_that_can_be_none_is_refused(fronts: TwoFronts, given: Any) -> None:
    answer = fronts.say(session_id=given)
    assert (answer.status, answer.error["param"]) == (400, "session_id")
    if isinstance(given, str) and given:
        answer = fronts.say(headers={"X-Session-Id": given})
        assert answer.status == 400
    assert not fronts.engine.seen


def test_any_printable_id_of_128_characters_is_a_session(fronts: TwoFronts) -> None:
    session = f"{new_id()}?#%{{}}\"'~".ljust(128, "!")
    fronts.say("one", session_id=session)
    fronts.say("two", session_id=session, front=1)
    assert fronts.shown() == [*answered("one"), ("user", "two")]


def test_a_session_takes_one_choice_only(fronts: TwoFronts) -> None:
    answer = fronts.say(session_id=new_id(), n=2)
    assert (answer.status, answer.error["param"]) == (400, "n")


@pytest.mark.parametrize("prefix", ["conv_", "chain_"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_an_id_of_ours_that_is_unknown_is_404_like_one_of_another_team(
    fronts: TwoFronts, path: str, prefix: str
) -> None:
    theirs = fronts.client(team="blue").conversations.create().id
    unknown = f"{prefix}{theirs.partition('_')[2]}"[:-1] + "0"
    field = "session_id" if path == CHAT else "conversation"
    content = {"messages": [{"role": "user", "content": "x"}]} if path == CHAT else {"input": "x"}
    first, second = (fronts.ask(path, {"model": "tiny", **content, field: one}) for one in (theirs, unknown))
    assert (first.status, first.error["code"]) == (404, "conversation_not_found")
    assert (second.status, second.body) == (404, first.body.replace(theirs.encode(), unknown.encode()))
    assert second.headers.keys() == first.headers.keys()
    assert not fronts.engine.seen


def test_one_id_chosen_in_two_teams_is_two_sessions(fronts: TwoFronts) -> None:
    session = new_id()
    for team in TEAMS:
        fronts.say(f"by {team}", session_id=session, team=team)
    for team in TEAMS:
        fronts.say("next", session_id=session, team=team, front=1)
        assert fronts.shown() == [*answered(f"by {team}"), ("user", "next")]


def test_no_engine_sees_what_is_the_fronts_business(fronts: TwoFronts) -> None:
    history = {"strategy": "window", "turns": 2}
    fronts.say(session_id=new_id(), store=True, metadata={"a": "b"}, history=history)
    first = fronts.respond(background=False, store=True, history=history, metadata={"a": "b"}).json()
    fronts.respond(previous_response_id=first["id"])
    fronts.respond(conversation=fronts.client().conversations.create().id)
    plain = [set(seen.body) for seen in fronts.engine.seen]
    assert plain[0] & STATE == set()
    assert [body & STATE for body in plain[1:]] == [{"store", "metadata"}, {"store"}, {"store"}]
    assert [seen.body["store"] for seen in fronts.engine.seen[1:]] == [False] * 3


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_whoever_has_the_end_of_a_stream_has_a_turn_that_survives_its_front(fronts: TwoFronts, path: str) -> None:
    session = new_id() if path == CHAT else fronts.client().conversations.create().id
    asked = {"model": "tiny", "input": "one", "conversation": session}
    body = chat("one", session_id=session) if path == CHAT else asked
    last = b"[DONE]" if path == CHAT else b"event: response.completed"
    with fronts.wire() as wire:
        for event in wire.events(wire.send(fronts.request(path, {**body, "stream": True})).head()):
            if last in event:
                fronts.fronts[0].kill()
                break
        else:
            pytest.fail("no end")
    assert fronts.kept(session) == [("user", "one", "completed"), ("assistant", HELLO, "completed")]


@pytest.mark.parametrize("stream", [False, True])
def test_the_log_names_the_session_and_how_long_its_commit_took(fronts: TwoFronts, stream: bool) -> None:
    session = new_id()
    answer = fronts.say(session_id=session, stream=stream)
    line = fronts.fronts[0].log_of(answer.headers["x-request-id"])
    assert line["session"] == session
    assert 0 < line["commit_seconds"] < line["duration_seconds"]
    plain = fronts.fronts[0].log_of(fronts.say().headers["x-request-id"])
    assert (plain["session"], plain["commit_seconds"]) == (None, None)


@pytest.mark.parametrize("stream", [False, True])
def test_of_two_racing_turns_one_is_refused_and_leaves_no_trace(fronts: TwoFronts, stream: bool) -> None:
    session = new_id()
    fronts.engine.next(Script(fault="hang", at=2 if stream else -1))
    with fronts.wire() as slow:
        slow.send(fronts.request(CHAT, chat("slow", session_id=session, stream=stream)))
        seen = fronts.engine.wait_for()
        assert fronts.say("fast", session_id=session, stream=stream, front=1).status == 200
        seen.release()
        lost = slow.answer()
    if stream:
        assert (lost.status, lost.end) == (200, "cut")
        assert parsed(lost.events)[-1]["error"]["code"] == "conversation_conflict"
        assert b"[DONE]" not in lost.body
    else:
        assert (lost.status, lost.error["code"]) == (409, "conversation_conflict")
    fronts.say("next", session_id=session)
    assert fronts.shown() == [*answered("fast"), ("user", "next")]


def test_turns_that_race_again_and_again_end_in_one_order(fronts: TwoFronts) -> None:
    session, wires = new_id(), [fronts.wire(number % 2) for number in range(10)]
    for number, wire in enumerate(wires):
        wire.send(fronts.request(CHAT, chat(f"m{number}", session_id=session)))
    answers = [wire.answer() for wire in wires]
    assert {answer.status for answer in answers} <= {200, 409}
    won = {f"m{number}" for number, answer in enumerate(answers) if answer.status == 200}
    kept = eventually(lambda: fronts.kept(session), what="the turns")
    assert {text for role, text, _ in kept if role == "user"} == won
    assert [role for role, _, _ in kept] == ["user", "assistant"] * len(won)


@pytest.mark.parametrize("usage", [False, True])
def test_a_session_changes_nothing_of_the_stream_that_its_client_asked_for(fronts: TwoFronts, usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    kept = fronts.say(stream=True, session_id=new_id(), **options)
    plain = fronts.say(stream=True, **options)
    assert is_done(kept)
    numbered = [event.replace(b"chatcmpl-1", b"chatcmpl-2") for event in kept.events]
    assert numbered == [event.replace(b"chatcmpl-1", b"chatcmpl-2") for event in plain.events]
    assert sum(b'"usage":{' in event for event in kept.events) == usage
