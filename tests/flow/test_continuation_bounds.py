"""How far the front goes for a broken stream: which wait, which end with an error event, and who is left alone."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.flow.test_broken_streams import assert_broken
from tests.support.broken_streams import (
    SCRIPT,
    SETTINGS,
    USAGE,
    asked,
    assert_one_stream,
    giving_ids,
    play,
    requests,
    say,
    undisturbed,
)
from tests.support.script import BEFORE_HEAD, Script, tokens
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, COMPLETIONS, MESSAGES, RESPONSES, MakeWorld, World

WAITING = {"front.engine_poll_seconds": 0.1, "front.heartbeat_seconds": 0.2, "front.hold.seconds": 20}
BREAKS = replace(SCRIPT, fault="rst", at=4)
LONG = Script(tokens(60), finish="length")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
UNSAFE_CHATS: dict[str, dict[str, Any]] = {
    "tools": {"tools": [TOOL]},
    "two choices": {"n": 2},
    "stop": {"stop": "x"},
    "log probabilities": {"logprobs": True},
    "penalty": {"presence_penalty": 0.5},
    "minimum": {"min_tokens": 2},
    "seed": {"seed": 7, "temperature": 1},
    "JSON": {"response_format": {"type": "json_object"}},
    "image": {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}]},
    "usage in every event": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    "reasoning left out": {"include_reasoning": False},
    "own ids": {"return_token_ids": True},
}
UNSAFE_COMPLETIONS: dict[str, dict[str, Any]] = {
    "echo": {"echo": True},
    "log probabilities": {"logprobs": 1},
    "suffix": {"suffix": "x"},
    "bad words": {"bad_words": ["x"]},
}
UNSAFE = [
    *[pytest.param(CHAT, fields, id=f"chat, {name}") for name, fields in UNSAFE_CHATS.items()],
    *[pytest.param(COMPLETIONS, fields, id=f"completion, {name}") for name, fields in UNSAFE_COMPLETIONS.items()],
]


def one(world: MakeWorld, **settings: Any) -> World:
    return giving_ids(world(1, {**SETTINGS, **WAITING, **settings}))


def several(world: MakeWorld, engines: int = 2, **settings: Any) -> World:
    return giving_ids(world(engines, {**SETTINGS, **settings}))


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_waits_with_heartbeats_for_its_only_engine(world: MakeWorld, path: str) -> None:
    only, body = one(world), asked(path, **USAGE)
    expected = undisturbed(only, body)
    play(only, [replace(BREAKS, fault="kill")])
    with only.wire() as wire:
        stream = wire.events(answer := wire.send(only.request(path, body)).head())
        while not next(stream).startswith(b":"):
            pass
        assert len(answer.events) == 4
        assert only.front.metric("tidegate_requests_waiting") == 1
        only.engine.up()
        list(stream)
    answer.body = b"".join(answer.events)
    assert_one_stream(answer, expected, path)
    assert only.front.metric("tidegate_requests_waiting") == 0
    assert only.front.log_of(answer.headers["x-request-id"])["held_seconds"] >= 0.2


def test_a_stream_whose_engine_is_away_waits_for_a_sign_of_it_and_goes_on_at_the_first(world: MakeWorld) -> None:
    only, body, listed = one(world), asked(CHAT, **USAGE), []
    expected = undisturbed(only, body)
    play(only, [replace(BREAKS, fault="kill")])
    with only.wire() as wire:
        wire.send(only.request(CHAT, body))
        eventually(lambda: not only.engine.is_up, what="the engine's death")
        time.sleep(3.5)
        only.engine.polls.clear()
        only.engine.decide = lambda _: listed.append(len(only.engine.polls))
        only.engine.up()
        answer = wire.answer()
    answer.body = b"".join(answer.events)
    assert_one_stream(answer, expected, "")
    assert only.front.log_of(answer.headers["x-request-id"])["attempts"] <= 9
    assert listed[0] <= 3


def test_a_stream_goes_on_at_its_only_engine_where_that_is_still_there(world: MakeWorld) -> None:
    only, body = one(world), asked(CHAT, **USAGE)
    expected = undisturbed(only, body)
    play(only, [BREAKS])
    assert_one_stream(say(only, body), expected, "")


@pytest.mark.parametrize("seconds", [0, 0.8])
def test_a_stream_for_which_no_engine_comes_in_time_is_broken(world: MakeWorld, seconds: float) -> None:
    only, began = one(world, **{"front.hold.seconds": seconds}), time.monotonic()
    play(only, [replace(BREAKS, fault="kill")])
    assert_broken(CHAT, say(only, asked(CHAT)))
    assert seconds <= time.monotonic() - began < seconds + 3
    assert only.front.metric("tidegate_requests_waiting") == 0


def test_a_stream_that_gets_on_goes_on_again_and_again(world: MakeWorld) -> None:
    three, body = several(world, 3), asked(CHAT, **USAGE)
    expected = undisturbed(three, body, LONG)
    play(three, [replace(LONG, fault="rst", at=at) for at in (2, 17, 18)], then=LONG)
    assert_one_stream(say(three, body), expected, "")
    assert [len(request.get("prompt", ())) for request in requests(three)] == [0, 7 + 1, 7 + 1 + 17, 7 + 1 + 17 + 18]


@pytest.mark.parametrize("again", [BEFORE_HEAD, 0, 3])
def test_a_stream_that_breaks_two_engines_is_not_given_to_a_third(fresh_world: MakeWorld, again: int) -> None:
    three = several(fresh_world, 3)
    # A kept connection that is lost before the head may have been an old one: the engine is asked once more.
    play(three, [replace(LONG, fault="rst", at=at) for at in (2, again, again)], then=LONG)
    assert_broken(CHAT, say(three, asked(CHAT)))
    assert sorted(bool(engine.seen) for engine in three.engines) == [False, True, True]


@pytest.mark.parametrize("again", [0, 3])
def test_a_stream_that_got_on_survives_a_second_engine_that_dies_at_once(fresh_world: MakeWorld, again: int) -> None:
    three, body = several(fresh_world, 3), asked(CHAT, **USAGE)
    expected = undisturbed(three, body, LONG)
    play(three, [replace(LONG, fault="rst", at=at) for at in (30, again)], then=LONG)
    assert_one_stream(say(three, body), expected, "")


def test_all_streams_of_an_engine_that_dies_go_on(world: MakeWorld) -> None:
    two, body = several(world), asked(CHAT, **USAGE)
    expected = undisturbed(two, body, LONG)
    play(two, [], then=replace(LONG, gap=0.02))
    two.engines[1].down()
    wires = [two.wire().send(two.request(CHAT, body)) for _ in range(40)]
    two.engines[0].wait_for(40)
    two.engines[1].up()
    eventually(lambda: two.front.metric("tidegate_engines_ready", model="tiny") == 2, what="the other engine")
    two.engines[0].down()
    for number, wire in enumerate(wires):
        assert_one_stream(wire.answer(), expected, number)
        wire.close()
    assert len(two.engines[1].seen) == 40


@pytest.mark.parametrize(("path", "fields"), UNSAFE)
def test_what_may_not_go_on_ends_and_is_asked_for_no_ids(world: MakeWorld, path: str, fields: dict[str, Any]) -> None:
    two, body = several(world), asked(path, **fields)
    whole = undisturbed(two, body)
    play(two, [replace(SCRIPT, fault="rst", at=5)])
    answer = say(two, body)
    assert_broken(path, answer)
    (only,) = requests(two)
    assert only.get("return_token_ids") == fields.get("return_token_ids")
    first = next(engine.seen[0] for engine in two.engines if engine.seen)
    assert answer.body.startswith(b"".join(first.events))
    assert len(answer.events) == 6 <= whole.count(b"\n\n")


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
def test_other_routes_end_as_they_did(world: MakeWorld, path: str) -> None:
    two = several(world)
    play(two, [replace(SCRIPT, fault="rst", at=5)])
    assert_broken(path, two.ask(path, {**BODIES[path], "stream": True}))
    assert "return_token_ids" not in requests(two)[0]
    assert two.seen_by_engines == 1


def test_where_it_is_switched_off_nobody_is_asked_for_ids(world: MakeWorld) -> None:
    two = several(world, **{"front.retry.continue_streams": "false"})
    play(two, [BREAKS])
    assert_broken(CHAT, say(two, asked(CHAT)))
    assert "return_token_ids" not in requests(two)[0]
    assert two.seen_by_engines == 1


def test_a_vllm_that_gives_no_ids_is_relayed_and_not_continued(world: MakeWorld) -> None:
    two = several(world)
    two.engines[0].gives_token_ids = two.engines[1].gives_token_ids = False
    play(two, [BREAKS])
    assert_broken(CHAT, say(two, asked(CHAT)))
    assert two.seen_by_engines == 1


def test_a_refused_continuation_is_broken(world: MakeWorld) -> None:
    two = several(world)
    refusal = Script(status=400, body=json.dumps({"error": {"message": "a secret"}}).encode())
    play(two, [BREAKS, refusal])
    answer = say(two, asked(CHAT))
    assert_broken(CHAT, answer)
    assert b"secret" not in answer.body
    assert two.seen_by_engines == 2


def test_no_other_kind_of_engine_is_asked_for_ids_or_the_rest(fresh_world: MakeWorld) -> None:
    two = giving_ids(fresh_world(2, SETTINGS, started=False))
    for engine in two.engines:
        engine.lists_models = False
    two.front.start()
    play(two, [BREAKS])
    assert_broken(CHAT, say(two, asked(CHAT)))
    assert "return_token_ids" not in requests(two)[0]
    assert two.seen_by_engines == 1
