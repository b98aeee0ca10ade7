"""What is recorded of a stream, and what its client gets: the same bytes as of an engine that was not asked for ids."""

from __future__ import annotations

import re
from typing import Any

import pytest

from serving.front.continuation.tape import Tape
from serving.front.dialect import CHAT, COMPLETIONS, Route
from tests.support.raw_http import parsed, split_events
from tests.support.token_ids import EOS, FIRST_OUTPUT, PROMPT
from tests.support.vllm_wire import Answer, chat_events, completion_events, data

MIMICS = ('"token_ids":[7]', '"prompt_token_ids":[7]', '"delta":{}', '"text":"', "]", '"', "data: [DONE]\n\n", "é😀")
EVENTS = {CHAT.path: chat_events, COMPLETIONS.path: completion_events}
ROUTES = pytest.mark.parametrize("route", [CHAT, COMPLETIONS], ids=["chat", "completions"])


def stream(route: Route, tokens: tuple[str, ...], *, ids: bool = True, finish: str = "stop") -> list[bytes]:
    usage = {"stream_options": {"include_usage": True}}
    return list(EVENTS[route.path](Answer("one", "tiny", tokens, finish, ids=ids), usage))


def taken(route: Route, events: list[bytes], at_once: int = 1) -> tuple[Tape, bytes]:
    """The tape, and what the client gets, where so many events come together."""
    tape = Tape(route)
    pieces = [b"".join(events[start : start + at_once]) for start in range(0, len(events), at_once)]
    return tape, b"".join(map(tape.take, pieces))


def chunk(ids: str, **delta: Any) -> bytes:
    """A chat event with these ids, as JSON."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, "token_ids": "IDS"}
    return data({"id": "one", "choices": [choice]}).replace(b'"IDS"', ids.encode())


@ROUTES
@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_the_client_gets_what_it_gets_without_ids(route: Route, at_once: int) -> None:
    tape, given = taken(route, stream(route, MIMICS), at_once)
    assert given == b"".join(stream(route, MIMICS, ids=False))
    assert tape.is_plain
    assert (tape.prompt, tape.said) == ([*PROMPT], [*range(FIRST_OUTPUT, FIRST_OUTPUT + len(MIMICS)), EOS])


@ROUTES
@pytest.mark.parametrize("at_once", [1, 100])
def test_the_head_is_the_first_event_alone(route: Route, at_once: int) -> None:
    tape, given = taken(route, stream(route, ("a", "b")), at_once)
    (head,) = split_events(tape.head)
    assert parsed([head])[0]["id"] == "one"
    assert given.startswith(head.partition(b'"token_ids"')[0])


@ROUTES
@pytest.mark.parametrize("at_once", [1, 100])
@pytest.mark.parametrize(
    ("tokens", "spoken"), [(("a", "", ""), 1), (("a", "", "b"), 3), (("", ""), 0), (("", "\n"), 2)]
)
def test_tokens_whose_text_is_held_back_are_forgotten(
    route: Route, at_once: int, tokens: tuple[str, ...], spoken: int
) -> None:
    cut = 1 + len(tokens) if route is CHAT else len(tokens)
    tape, _ = taken(route, stream(route, tokens)[:cut], at_once)
    assert len(tape.said) == len(tokens)
    tape.rewind()
    assert tape.said == [*range(FIRST_OUTPUT, FIRST_OUTPUT + spoken)]


@ROUTES
def test_events_of_several_tokens_and_of_none(route: Route) -> None:
    several = [
        re.sub(rb'"token_ids":\[1001\]', b'"token_ids":[1001,1002,1003]', event) for event in stream(route, ("a", "b"))
    ]
    tape, given = taken(route, [event.replace(b"[%d]" % EOS, b"[]") for event in several])
    assert tape.said == [1000, 1001, 1002, 1003]
    assert given == b"".join(stream(route, ("a", "b"), ids=False))


@ROUTES
def test_tokens_of_a_continuation_are_recorded_too(route: Route) -> None:
    tape, _ = taken(route, stream(route, ("a", ""))[:-3])
    tape.rewind()
    tape.add([5, 6], is_spoken=True)
    tape.add([], is_spoken=False)
    tape.add([7], is_spoken=False)
    assert tape.said == [FIRST_OUTPUT, 5, 6, 7]
    tape.rewind()
    assert tape.said == [FIRST_OUTPUT, 5, 6]


@ROUTES
def test_an_engine_that_gives_no_ids_is_not_continued_and_not_changed(route: Route) -> None:
    tape, given = taken(route, stream(route, ("a", "b"), ids=False))
    assert not tape.is_plain
    assert given == b"".join(stream(route, ("a", "b"), ids=False))


@ROUTES
def test_text_whose_ids_are_hidden_is_not_continued(route: Route) -> None:
    head, *rest = stream(route, ("a", "b"))[:3]
    hidden = [re.sub(rb'"token_ids":\[\d+\]', b'"token_ids":null', event) for event in rest]
    assert not taken(route, [head, *hidden])[0].is_plain


@pytest.mark.parametrize("delta", [{"reasoning": "a"}, {"tool_calls": []}, {"refusal": "no"}, {"role": "assistant"}])
def test_what_says_something_else_than_text_is_not_continued(delta: dict[str, Any]) -> None:
    head = stream(CHAT, ("a",))[0]
    assert not taken(CHAT, [head, chunk("[5]", **delta), chunk("[6]", content="a")])[0].is_plain


def test_what_says_nothing_at_all_behind_the_last_text_is_known() -> None:
    head = stream(CHAT, ("a",))[0]
    tape, _ = taken(CHAT, [head, chunk("[5]")])
    assert not tape.is_hushed, "nothing was said before"
    tape.take(chunk("[6]", content="a"))
    tape.take(chunk("[7]"))
    tape.take(chunk("[8]", content=""))
    assert (tape.is_hushed, tape.unsaid) == (True, [7, 8])
    tape.take(chunk("[9]", content="a"))
    assert (tape.is_hushed, tape.is_plain, tape.said) == (False, True, [5, 6, 7, 8, 9])
    tape.take(chunk("[10]", content=""))
    tape.take(chunk("[11]").replace(b'"finish_reason":null', b'"finish_reason":"stop"'))
    assert not tape.is_hushed


@ROUTES
def test_events_with_other_line_ends_are_recorded_one_by_one(route: Route) -> None:
    windows = [event.replace(b"\n", b"\r\n") for event in stream(route, ("a", "b"))]
    tape, given = taken(route, windows)
    assert (tape.is_plain, tape.said) == (True, [1000, 1001, EOS])
    assert given == b"".join(event.replace(b"\n", b"\r\n") for event in stream(route, ("a", "b"), ids=False))
    assert tape.head.count(b"data:") == 1


@pytest.mark.timeout(5)
@ROUTES
def test_ids_without_an_end_are_passed_on_and_not_continued(route: Route) -> None:
    events = stream(route, ("a", "b"))[:2]
    broken = events[-1].partition(b"]")[0].partition(b"}")[0] + b"\n\n"
    broken = broken if b'"token_ids":[' in broken else b'data: {"token_ids":[1\n\n'
    tape, given = taken(route, [events[0], broken])
    assert given.endswith(broken)
    assert not tape.is_plain


@ROUTES
def test_a_stream_with_more_ids_than_are_kept_is_relayed_and_not_continued(route: Route) -> None:
    most = ",".join(["123456"] * 200_000).encode()
    events = [event.replace(b"[1000]", b"[" + most + b"]") for event in stream(route, ("a", "b"))]
    tape, given = taken(route, events)
    assert given == b"".join(stream(route, ("a", "b"), ids=False))
    assert (tape.is_plain, len(tape.said)) == (False, 2)


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_what_an_engine_sends_for_its_ids_only_is_not_shown(at_once: int) -> None:
    head, *_ = stream(CHAT, ("a",))
    silence, text = chunk("[5]"), chunk("[6]", content="a")
    end = chunk("[7]").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    tape, given = taken(CHAT, [head, silence, silence, text, silence, text, end], at_once)
    shown = split_events(given)
    assert len(shown) == 4
    assert given.endswith(text.replace(b"[6]", b"null") + end.replace(b"[7]", b"null"))
    assert tape.said == [5, 5, 6, 5, 6, 7]
