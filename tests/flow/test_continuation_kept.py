"""Who reads a continued stream: sessions, replays and resumed clients, slow ones, and those who leave."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.support.broken_streams import (
    SCRIPT,
    SETTINGS,
    USAGE,
    asked,
    assert_one_stream,
    giving_ids,
    play,
    requests,
    undisturbed,
)
from tests.support.raw_http import Answer, parsed, split_events
from tests.support.script import Script, tokens
from tests.support.two_fronts import TwoFronts, answered, chat, new_id
from tests.support.vllm_wire import DONE
from tests.support.waiting import eventually
from tests.support.world import CHAT, COMPLETIONS, MakeWorld, World

BREAKS = Script(fault="rst", at=3)
PASSING = {"front.engine_poll_seconds": 0.1, "front.heartbeat_seconds": 0.2}
# The promise is 0.1 s; the rest is for a machine that others use too.
SECONDS = 0.5


@pytest.fixture
def breaking(fronts: TwoFronts) -> TwoFronts:
    """The engine breaks the next stream, and goes on with it when asked."""
    fronts.engine.gives_token_ids = True
    fronts.engine.next(BREAKS)
    return fronts


@pytest.fixture
def two(world: MakeWorld) -> World:
    return giving_ids(world(2, {**SETTINGS, **PASSING}))


def assert_continued(fronts: TwoFronts, answer: Answer) -> None:
    assert (answer.text, answer.end, answer.events[-1][-len(DONE) :]) == ("Hello, world", "complete", DONE)
    assert [seen.path for seen in fronts.engine.seen] == [CHAT, COMPLETIONS]


@pytest.mark.parametrize("front", [0, 1])
def test_a_turn_whose_stream_was_continued_is_kept_whole_and_once(breaking: TwoFronts, front: int) -> None:
    session = new_id()
    assert_continued(breaking, breaking.say("one", session_id=session, stream=True, temperature=0))
    assert breaking.kept(session) == [("user", "one", "completed"), ("assistant", "Hello, world", "completed")]
    breaking.say("two", session_id=session, front=front)
    assert breaking.shown() == [*answered("one"), ("user", "two")]


def test_a_turn_of_a_session_goes_on_from_its_history(breaking: TwoFronts) -> None:
    session = new_id()
    breaking.engine.queue.clear()
    breaking.say("one", session_id=session)
    breaking.engine.seen.clear()
    breaking.engine.next(BREAKS)
    assert_continued(breaking, breaking.say("two", session_id=session, stream=True))
    assert breaking.shown(0) == [*answered("one"), ("user", "two")]
    assert not {"messages", "session_id"} & breaking.engine.seen[1].body.keys()


def test_a_resumable_stream_keeps_the_numbers_of_its_events(breaking: TwoFronts) -> None:
    answer = breaking.say(stream=True, headers={"X-Tidegate-Resumable": "true"})
    assert_continued(breaking, answer)
    assert [int(event.split(b"\n")[0].removeprefix(b"id: ")) for event in answer.events] == [*range(6)]
    path = f"{CHAT}/{parsed(answer.events)[0]['id']}?stream=true"
    for front in (0, 1):
        assert breaking.ask(path, front=front).events == answer.events
        assert breaking.ask(f"{path}&starting_after=2", front=front).events == answer.events[3:]


@pytest.mark.parametrize("front", [0, 1])
def test_a_replay_of_a_continued_stream_is_the_same_bytes(breaking: TwoFronts, front: int) -> None:
    key = {"Idempotency-Key": new_id("key")}
    first = breaking.say("one", stream=True, headers=key)
    again = breaking.say("one", stream=True, headers=key, front=front)
    assert_continued(breaking, first)
    assert (again.headers["idempotent-replayed"], again.body) == ("true", first.body)


def test_a_client_that_left_a_resumable_stream_finds_it_continued(breaking: TwoFronts) -> None:
    breaking.engine.queue.clear()
    breaking.engine.next(Script(fault="hang", at=3), Script(gap=0.1))
    asking = breaking.request(CHAT, chat(stream=True), headers={"X-Tidegate-Resumable": "true"})
    with breaking.wire() as wire:
        events = wire.events(wire.send(asking).head())
        stream = parsed([next(events)])[0]["id"]
    breaking.engine.wait_for()
    time.sleep(0.1)
    breaking.engine.kill_idle()
    assert_continued(breaking, breaking.ask(f"{CHAT}/{stream}?stream=true", front=1))


def test_a_client_that_leaves_while_its_stream_waits_is_forgotten(world: MakeWorld) -> None:
    only = giving_ids(world(1, {**SETTINGS, **PASSING}))
    play(only, [replace(SCRIPT, fault="kill", at=3)])
    with only.wire() as wire:
        wire.send(only.request(CHAT, asked(CHAT)))
        eventually(lambda: only.front.metric("tidegate_requests_waiting") == 1, what="the stream waiting")
    eventually(lambda: only.front.metric("tidegate_requests_in_flight") == 0, within=2, what="nobody left")
    assert only.front.metric("tidegate_requests_waiting") == 0
    only.engine.up()
    eventually(lambda: only.front.metric("tidegate_engines_ready", model="tiny") == 1, what="the engine")
    assert len(only.engine.seen) == 1


@pytest.mark.parametrize("at", [0, 2])
def test_a_client_that_leaves_after_the_break_frees_the_other_engine(two: World, at: int) -> None:
    play(two, [replace(SCRIPT, fault="rst", at=3)], then=replace(SCRIPT, fault="hang", at=at))
    with two.wire() as wire:
        stream = wire.events(wire.send(two.request(CHAT, asked(CHAT))).head())
        for _ in range(3 + at):
            next(stream)
        other = eventually(lambda: next((e.seen[0] for e in two.engines if e.seen and e.seen[0].path != CHAT), None))
        assert other.left_at is None
        left = time.monotonic()
    eventually(lambda: other.left_at is not None, what="the other engine being freed")
    assert other.left_at is not None
    assert other.left_at - left < SECONDS


def test_a_client_that_does_not_read_for_a_while_loses_nothing(two: World) -> None:
    script = Script(tokens(200, 48_000), finish="length")
    body = asked(CHAT, **USAGE, max_tokens=200)
    expected = undisturbed(two, body, script)
    play(two, [], then=script)
    with two.wire(receive_buffer=65536, timeout=30) as wire:
        answer = wire.send(two.request(CHAT, body)).head()
        first = eventually(lambda: next((engine for engine in two.engines if engine.seen), None))
        time.sleep(0.5)
        assert first.in_flight == 1
        first.down()
        time.sleep(0.2)
        answer.body = b"".join(event for event in wire.events(answer) if not event.startswith(b":"))
    assert_one_stream(answer, expected, len(split_events(answer.body)))
    assert [request["path"] for request in requests(two)] == [CHAT, COMPLETIONS]
