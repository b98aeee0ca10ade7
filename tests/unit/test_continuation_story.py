"""What another engine is asked for when a stream breaks, and when it is not asked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from serving.errors import EngineFailed
from serving.front.continuation.story import Story
from serving.front.dialect import CHAT, COMPLETIONS, Route
from serving.front.wire import Arrived, GenerationRequest, read
from serving.settings import LimitSettings
from tests.support.token_ids import FIRST_OUTPUT, PROMPT
from tests.support.vllm_wire import DONE, Answer, chat_events, completion_events
from tests.support.world import BODIES

ROUTES = pytest.mark.parametrize("route", [CHAT, COMPLETIONS], ids=["chat", "completions"])
USAGE = {"stream_options": {"include_usage": True}}
EVENTS = {CHAT.path: chat_events, COMPLETIONS.path: completion_events}


def asked(route: Route, **fields: Any) -> GenerationRequest:
    body = {**BODIES[route.path], "stream": True, **fields}
    return read(Arrived("id", 0.0, route, {b"x-session-id": b"s"}, orjson.dumps(body)), LimitSettings())


def story(route: Route, *tokens: str, cut: int | None = None, ids: bool = True, **fields: Any) -> Story:
    """One that has told so many tokens, or all events before the `cut`."""
    made = Story(asked(route, **fields))
    events = list(EVENTS[route.path](Answer("one", "tiny", tokens, ids=ids), USAGE))
    for event in events[: len(tokens) + (route is CHAT) if cut is None else cut]:
        made.tell(event)
    return made


def rest(told: Story, context_length: int = 100) -> GenerationRequest:
    found = told.rest(context_length)
    assert found is not None
    return found


@ROUTES
def test_the_rest_begins_where_the_text_ends(route: Route) -> None:
    found = rest(story(route, "a", "b", "", max_tokens=9, temperature=0, user="me", top_k=3))
    assert found.route is COMPLETIONS
    assert found.body == {
        "model": "tiny",
        "prompt": [*PROMPT, FIRST_OUTPUT, FIRST_OUTPUT + 1],
        "max_tokens": 7,
        "stream": True,
        "temperature": 0,
        "top_k": 3,
    }
    assert (found.prompt_tokens, found.output_tokens, found.wants_usage, found.keep) == (9, 7, True, None)


@ROUTES
@pytest.mark.parametrize(
    ("fields", "chat", "completion"),
    [
        ({}, 100 - 7 - 2, 16 - 2),
        ({"max_tokens": None}, 100 - 7 - 2, 16 - 2),
        ({"max_tokens": 3}, 1, 1),
        ({"max_tokens": 2}, None, None),
    ],
)
def test_it_is_as_long_as_the_bound_allows(
    route: Route, fields: dict[str, Any], chat: int | None, completion: int | None
) -> None:
    found = story(route, "a", "b", **fields).rest(100)
    assert (found and found.body["max_tokens"]) == (chat if route is CHAT else completion)


@pytest.mark.parametrize("context_length", [0, 9])
def test_without_a_bound_and_room_in_the_context_there_is_no_rest(context_length: int) -> None:
    assert story(CHAT, "a", "b").rest(context_length) is None
    assert story(COMPLETIONS, "a", "b").rest(context_length) is not None


@ROUTES
def test_without_ids_there_is_no_way_on(route: Route) -> None:
    assert story(route, "a").may_go_on
    assert not story(route, "a", ids=False).may_go_on
    assert not Story(asked(route)).may_go_on


@ROUTES
def test_progress_is_counted_from_break_to_break(route: Route) -> None:
    told = story(route, "a", "b", "")
    assert told.got_on_by() == 3
    rest(told)
    told.go_on()
    assert told.got_on_by() == 0
    for event in list(completion_events(Answer("other", "tiny", ("c", "d", "e"), start=2, ids=True), {}))[:2]:
        told.tell(event)
    assert told.got_on_by() == 2
    assert rest(told).body["prompt"] == [*PROMPT, *range(FIRST_OUTPUT, FIRST_OUTPUT + 4)]


@pytest.mark.parametrize(("reads", "goes_on"), [("\ufffd", True), (" \ufffd\ufffd", True), ("<think>", False)])
def test_tokens_that_said_nothing_are_half_a_character_or_a_parsers(reads: str, goes_on: bool) -> None:
    told = story(CHAT, "a", "b")
    told.tell(silent(b"[77]"))
    told.tell(silent(b"[78]"))
    asks = told.doubt()
    assert asks is not None
    assert (asks.route.path, asks.body["tokens"], asks.stream) == ("/detokenize", [77, 78], False)
    told.settle(orjson.dumps({"prompt": reads}))
    assert told.doubt() is None
    found = told.rest(100)
    assert (found is not None) == goes_on
    assert found is None or found.body["prompt"] == [*PROMPT, FIRST_OUTPUT, FIRST_OUTPUT + 1]


def silent(ids: bytes) -> bytes:
    """An event of an engine with a parser that has taken these tokens in."""
    return b'data: {"choices":[{"index":0,"delta":{},"finish_reason":null,"token_ids":%b}]}\n\n' % ids


def several(route: Route, *tokens: str, ids: str) -> Story:
    """One whose last event had these ids."""
    *events, last = list(EVENTS[route.path](Answer("one", "tiny", tokens, ids=True), USAGE))[:-3]
    told = story(route, *tokens, cut=len(events))
    told.tell(last.replace(b"[%d]" % (FIRST_OUTPUT + len(tokens) - 1), b"[%b]" % ids.encode()))
    return told


@ROUTES
def test_an_engine_is_asked_how_several_tokens_of_one_event_read(route: Route) -> None:
    told = several(route, "a", "b", ids="1001,1002,1003")
    for tokens, text in (([1000, 1001, 1002, 1003], "ab\ufffd"), ([1000, 1001, 1002], "ab c")):
        doubt = told.doubt()
        assert doubt is not None
        assert (doubt.route.path, doubt.stream, doubt.body) == (
            "/detokenize",
            False,
            {"model": "tiny", "tokens": tokens},
        )
        told.settle(orjson.dumps({"prompt": text}))
    assert told.doubt() is None
    assert rest(told).body["prompt"] == [*PROMPT, 1000, 1001, 1002]


@ROUTES
def test_the_first_token_of_an_event_is_never_in_doubt(route: Route) -> None:
    told = several(route, "a", "b", ids="1001,1002")
    assert told.doubt() is not None
    told.settle(b'{"prompt":"\xef\xbf\xbd"}')
    assert told.doubt() is None
    assert rest(told).body["prompt"] == [*PROMPT, 1000, 1001]
    assert story(route, "a", "b").doubt() is None


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"prompt":null}', b"<html>"])
def test_what_does_not_say_how_tokens_read_is_a_failure(answer: bytes) -> None:
    told = several(CHAT, "a", "b", ids="1001,1002")
    with pytest.raises(EngineFailed):
        told.settle(answer)


@ROUTES
def test_the_ending_says_what_was_not_said_yet(route: Route) -> None:
    events = len(("a", "b", "EOS")) + (route is CHAT)
    finished, counted = (story(route, "a", "b", cut=cut).ending() for cut in (events, events + 1))
    assert finished.count(b'"usage"') == 1
    assert finished.endswith(DONE)
    assert counted == DONE


def test_a_chat_that_said_nothing_yet_is_asked_anew() -> None:
    found = rest(story(CHAT, "", "", max_tokens=9, reasoning_effort="low"))
    assert (found.route, found.stream, found.wants_usage, found.keep) == (CHAT, True, True, None)
    assert found.body == asked(CHAT, max_tokens=9, reasoning_effort="low").body
