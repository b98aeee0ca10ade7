"""Responses that continue one another, forks of them, and sessions that both APIs go on with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.two_fronts import TwoFronts, answered, new_id


def test_a_response_continues_another_without_its_instructions(fronts: TwoFronts) -> None:
    first = fronts.respond("one", instructions="Be brief.").json()
    second = fronts.respond("two", previous_response_id=first["id"], front=1, stream=True)
    assert second.status == 200
    assert fronts.shown() == [*answered("one"), ("user", "two")]
    assert "instructions" not in fronts.engine.seen[-1].body


def test_forks_of_forks_see_their_own_line_only(fronts: TwoFronts) -> None:
    def continued(previous: str, text: str, front: int) -> str:
        answer = fronts.respond(text, previous_response_id=previous, front=front)
        assert answer.status == 200
        return answer.json()["id"]

    root = fronts.respond("root").json()["id"]
    lines = {root: ["root"]}
    for level in range(3):
        for previous, line in list(lines.items()):
            for branch in range(2):
                text = f"{level}{branch}"
                lines[continued(previous, text, branch)] = [*line, text]
    for number, (response_id, line) in enumerate(lines.items()):
        fronts.respond("end", previous_response_id=response_id, front=number % 2, store=False)
        assert fronts.shown() == [*answered(*line), ("user", "end")]


def test_a_chat_session_goes_on_as_a_conversation_and_back(fronts: TwoFronts) -> None:
    session = new_id()
    fronts.say("one", session_id=session)
    fronts.respond("two", conversation=session, front=1)
    assert fronts.shown() == [*answered("one"), ("user", "two")]
    fronts.say("three", session_id=session)
    assert fronts.shown() == [*answered("one", "two"), ("user", "three")]
    assert [text for _, text, _ in fronts.kept(session)] == [text for _, text in answered("one", "two", "three")]


def test_a_response_in_a_conversation_can_be_forked(fronts: TwoFronts) -> None:
    conversation = fronts.client().conversations.create().id
    first = fronts.respond("one", conversation=conversation).json()["id"]
    fronts.respond("two", conversation=conversation)
    fronts.respond("fork", previous_response_id=first, front=1)
    assert fronts.shown() == [*answered("one"), ("user", "fork")]
    assert len(fronts.kept(conversation)) == 4


@pytest.mark.parametrize("prefix", ["resp_", "chatcmpl-", "x"])
def test_an_unknown_response_cannot_be_continued_nor_one_of_another_team(fronts: TwoFronts, prefix: str) -> None:
    theirs = fronts.respond("one", team="blue").json()["id"]
    first = fronts.respond(previous_response_id=theirs)
    second = fronts.respond(previous_response_id=f"{prefix}0")
    assert (first.status, first.error["code"]) == (404, "previous_response_not_found")
    assert second.body == first.body.replace(theirs.encode(), f"{prefix}0".encode())
    assert len(fronts.engine.seen) == 1


def test_a_response_that_is_not_stored_cannot_be_continued_and_leaves_no_trace(fronts: TwoFronts) -> None:
    first = fronts.respond("one").json()["id"]
    unstored = fronts.respond("two", previous_response_id=first, store=False).json()["id"]
    assert fronts.respond("three", previous_response_id=unstored).status == 404
    fronts.respond("three", previous_response_id=first)
    assert fronts.shown() == [*answered("one"), ("user", "three")]


def test_a_conversation_and_a_previous_response_exclude_each_other(fronts: TwoFronts) -> None:
    conversation, first = fronts.client().conversations.create().id, fronts.respond().json()["id"]
    answer = fronts.respond(conversation=conversation, previous_response_id=first)
    assert (answer.status, answer.error["param"]) == (400, "previous_response_id")


def test_continuations_at_once_are_branches_each_right(fronts: TwoFronts) -> None:
    first = fronts.respond("root").json()["id"]
    with ThreadPoolExecutor(6) as threads:
        asked = {
            f"m{number}": threads.submit(fronts.respond, f"m{number}", previous_response_id=first, front=number % 2)
            for number in range(6)
        }
        answers = {text: one.result() for text, one in asked.items()}
    assert {answer.status for answer in answers.values()} == {200}
    for text, answer in answers.items():
        fronts.respond("end", previous_response_id=answer.json()["id"], store=False)
        assert fronts.shown() == [*answered("root", text), ("user", "end")]
