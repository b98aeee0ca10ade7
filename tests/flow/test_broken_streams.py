"""Streams that break after their first byte end with an error event and abnormally, never as if all were well."""

from __future__ import annotations

import pytest

from tests.support.raw_http import Answer, parsed
from tests.support.script import Script, tokens
from tests.support.vllm_wire import error_event
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, COMPLETIONS, MESSAGES, RESPONSES, MakeWorld, World, chat_body


def assert_broken(path: str, answer: Answer) -> None:
    assert answer.status == 200
    assert answer.end == "cut"
    assert b"[DONE]" not in answer.body
    assert not any(event.startswith((b"event: message_stop", b"event: response.completed")) for event in answer.events)
    last = answer.events[-1]
    assert last.endswith(b"\n\n")
    content = parsed([last])[0]
    if path in (CHAT, COMPLETIONS):
        assert last.startswith(b"data: ")
        assert set(content) == {"error"}
        assert set(content["error"]) == {"message", "type", "param", "code"}
    else:
        assert last.startswith(b"event: error\n")
        assert content["type"] == "error"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("fault", ["fin", "rst"])
def test_an_engine_that_dies_mid_stream(solo: World, path: str, fault: str) -> None:
    solo.engine.script = Script(tokens(6), fault=fault, at=4)
    answer = solo.ask(path, {**BODIES[path], "stream": True})
    assert_broken(path, answer)
    assert answer.body.startswith(b"".join(solo.engine.seen[0].events))
    assert len(answer.events) == 5
    assert len(solo.engine.seen) == 1


def test_an_engine_that_is_killed_mid_stream(pair: World) -> None:
    for engine in pair.engines:
        engine.script = Script(tokens(6), fault="hang", at=4)
    with pair.wire() as wire:
        events = wire.events(answer := wire.send(pair.chat()).head())
        for _ in range(4):
            next(events)
        for engine in pair.engines:
            if engine.seen:
                engine.down()
        list(events)
    assert_broken(CHAT, answer)
    assert pair.seen_by_engines == 1


def test_an_engine_that_broke_a_stream_is_asked_last(fresh_world: MakeWorld) -> None:
    pair = fresh_world(2, {"front.retry.cooldown_seconds": 60})
    for engine in pair.engines:
        engine.script = Script(tokens(6), fault="fin", at=4)
    assert_broken(CHAT, pair.say(stream=True))
    for engine in pair.engines:
        engine.script = Script()
    assert [pair.say().status for _ in range(4)] == [200] * 4
    assert sorted(len(engine.seen) for engine in pair.engines) == [1, 4]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("events_per_write", [1, 100])
def test_the_engines_error_event_is_not_followed_by_done(solo: World, path: str, events_per_write: int) -> None:
    solo.engine.script = Script(tokens(6), fault="error_event", at=3, events_per_write=events_per_write)
    answer = solo.ask(path, {**BODIES[path], "stream": True})
    assert_broken(path, answer)
    assert len([event for event in answer.events if b'"error"' in event]) == 1
    assert answer.body.startswith(b"".join(event for event in solo.engine.seen[0].events[:3]))
    assert answer.events[-1] == error_event() or parsed(answer.events)[-1]["error"]["code"]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_done_without_a_finish_reason_is_a_failure(solo: World, path: str) -> None:
    solo.engine.script = Script(tokens(6), fault="done_without_finish", at=3)
    assert_broken(path, solo.ask(path, {**BODIES[path], "stream": True}))


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_clean_end_without_done_is_a_failure(solo: World, path: str) -> None:
    solo.engine.script = Script(fault="no_done")
    assert_broken(path, solo.ask(path, {**BODIES[path], "stream": True}))


def test_a_stream_framed_by_close_that_ends_early_is_a_failure(solo: World) -> None:
    solo.engine.script = Script(tokens(6), framing="close", fault="fin", at=3)
    assert_broken(CHAT, solo.say())


def test_an_event_cut_in_its_middle_never_reaches_the_client_as_an_event(solo: World) -> None:
    solo.engine.script = Script(tokens(6), fault="fin", at=3, tail=b'data: {"id":"chatcmpl-1","obj')
    answer = solo.say()
    assert_broken(CHAT, answer)
    for event in answer.events:
        assert parsed([event])


def test_a_broken_stream_over_http_1_0_says_so_in_its_last_event(solo: World) -> None:
    solo.engine.script = Script(tokens(6), fault="fin", at=3)
    with solo.wire() as wire:
        answer = wire.send(solo.request(CHAT, chat_body(), version="1.0")).answer()
    assert parsed(answer.events)[-1]["error"]["message"]
    assert b"[DONE]" not in answer.body


def test_other_streams_of_the_front_go_on_when_one_breaks(solo: World) -> None:
    solo.engine.by_user = {"good": Script(tokens(5), gap=0.05), "bad": Script(fault="rst", at=2)}
    with solo.wire() as good:
        good.send(solo.chat(user="good"))
        assert solo.say(user="bad").end == "cut"
        assert good.answer().end == "complete"


def test_a_broken_stream_counts_against_its_engine(pair: World) -> None:
    for engine in pair.engines:
        engine.script = Script(fault="done_without_finish", at=2)
    before = pair.front.metric("tidegate_engine_attempts_total", outcome="broken")
    pair.say()
    eventually(
        lambda: pair.front.metric("tidegate_engine_attempts_total", outcome="broken") == before + 1, what="the count"
    )


def test_an_error_event_of_the_engine_tells_nothing_internal(solo: World) -> None:
    solo.engine.script = Script(tokens(6), fault="error_event", at=3)
    assert b"stack trace" not in solo.say().body


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
def test_an_event_stream_that_ends_before_its_last_event_is_a_failure(solo: World, path: str) -> None:
    solo.engine.script = Script(tokens(3), fault="clean_end", at=4)
    assert_broken(path, solo.ask(path, {**BODIES[path], "stream": True}))


def test_a_hang_mid_stream_ends_after_idle_seconds(world: MakeWorld) -> None:
    impatient = world(settings={"front.timeouts.idle_seconds": 1, "front.timeouts.first_byte_seconds": 1})
    impatient.engine.script = Script(tokens(6), fault="hang", at=3)
    assert_broken(CHAT, impatient.say())
    eventually(lambda: impatient.engine.in_flight == 0, within=1, what="engine free")
