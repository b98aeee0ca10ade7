"""Events of a continuation as the client gets them: those that the first engine would have sent."""

from __future__ import annotations

import orjson
import pytest

from serving.front.continuation.splice import Splice
from serving.front.continuation.tape import Tape
from serving.front.dialect import CHAT, COMPLETIONS, Route
from tests.support.token_ids import EOS, FIRST_OUTPUT
from tests.support.vllm_wire import DONE, Answer, chat_events, completion_events, data, error_event

ROUTES = pytest.mark.parametrize("route", [CHAT, COMPLETIONS], ids=["chat", "completions"])
TOKENS = (" one", ' "two":\n', " 😀", "\u2028", " é")
USAGE = {"stream_options": {"include_usage": True}}
EVENTS = {CHAT.path: chat_events, COMPLETIONS.path: completion_events}


def whole(route: Route, finish: str = "stop", *, ids: bool = True) -> list[bytes]:
    return list(EVENTS[route.path](Answer("first", "tiny", TOKENS, finish, ids=ids), USAGE))


def rest(said: int, finish: str = "stop") -> list[bytes]:
    """The other engine's events after so many tokens."""
    return list(completion_events(Answer("other", "tiny", TOKENS[said:], finish, start=said, ids=True), USAGE))


def cut(route: Route, said: int) -> tuple[Tape, Splice]:
    tape = Tape(route)
    for event in whole(route)[: said + (route is CHAT)]:
        tape.take(event)
    return tape, Splice(tape, route)


@ROUTES
@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("said", range(1, len(TOKENS)))
def test_they_are_the_events_of_one_stream(route: Route, finish: str, said: int) -> None:
    _, splice = cut(route, said)
    told = [splice.translate(event) for event in rest(said, finish)]
    assert told == whole(route, finish, ids=False)[said + (route is CHAT) :]


@ROUTES
def test_the_tape_goes_on(route: Route) -> None:
    tape, splice = cut(route, 2)
    for event in rest(2):
        splice.translate(event)
    assert tape.said == [*range(FIRST_OUTPUT, FIRST_OUTPUT + len(TOKENS)), EOS]


@ROUTES
def test_a_stop_token_is_named_where_the_stream_ends(route: Route) -> None:
    _, splice = cut(route, 2)
    choice = {"index": 0, "text": "", "finish_reason": "stop", "stop_reason": 9, "token_ids": [9]}
    told = orjson.loads(splice.translate(data({"id": "other", "choices": [choice]})).removeprefix(b"data:"))
    assert (told["id"], told["choices"][0]["finish_reason"], told["choices"][0]["stop_reason"]) == ("first", "stop", 9)
    assert told["choices"][0]["token_ids"] is None


@ROUTES
def test_a_break_after_a_break_sums_up(route: Route) -> None:
    tape, splice = cut(route, 1)
    for event in rest(1)[:2]:
        splice.translate(event)
    again = Splice(tape, route)
    told = [again.translate(event) for event in rest(3)]
    assert told[-2:] == whole(route)[-2:]


@ROUTES
def test_what_is_no_chunk_stays_as_it_is(route: Route) -> None:
    _, splice = cut(route, 1)
    for raw in (DONE, error_event(), b": comment\n\n", b"data: [1]\n\n", b"data: {\n\n", b"data: 5\n\n"):
        assert splice.translate(raw) == raw


@ROUTES
def test_the_ending_counts_what_was_said(route: Route) -> None:
    _, splice = cut(route, 4)
    usage, done, nothing = splice.ending(is_counted=False).split(b"\n\n")
    assert orjson.loads(usage.removeprefix(b"data:"))["usage"] == {
        "prompt_tokens": 7,
        "total_tokens": 11,
        "completion_tokens": 4,
    }
    assert (done, nothing) == (b"data: [DONE]", b"")
    assert splice.ending(is_counted=True) == DONE


def test_a_chat_that_is_asked_anew_goes_on_behind_its_first_event() -> None:
    tape, splice = cut(CHAT, 0)
    anew = list(chat_events(Answer("other", "tiny", TOKENS, "length", ids=True), USAGE))
    told = [splice.translate(event) for event in anew]
    assert told[0] == b""
    assert told[1:] == whole(CHAT, "length", ids=False)[1:]
    assert (tape.is_plain, tape.said) == (True, [*range(FIRST_OUTPUT, FIRST_OUTPUT + len(TOKENS))])


@pytest.mark.parametrize("delta", [{}, {"reasoning": "hm"}, {"content": "a", "reasoning": "hm"}])
def test_a_chat_that_turns_out_to_have_a_parser_does_not_go_on_again(delta: dict[str, str]) -> None:
    tape, splice = cut(CHAT, 0)
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, "token_ids": [5]}
    told = splice.translate(data({"id": "other", "choices": [choice]}))
    assert (b"reasoning" in told) == bool(delta)
    assert not tape.is_plain
