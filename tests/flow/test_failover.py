"""Engines that fail before the client has a byte: another one is asked, within bounds."""

from __future__ import annotations

import time

import pytest

from tests.support import vllm_wire
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, MESSAGES, MakeWorld, World

FAILURES = {
    "reset before the head": Script(fault="rst", at=BEFORE_HEAD),
    "closed before the head": Script(fault="fin", at=BEFORE_HEAD),
    "reset after the head": Script(fault="rst", at=0),
    "closed after the head": Script(fault="fin", at=0),
    "500": Script(status=500, body=vllm_wire.error_body(500, "EngineCore encountered an issue")),
    "500 without JSON": Script(status=500, body=b"Internal Server Error"),
    "503": Script(status=503, body=b""),
    "error event first": Script(fault="error_event", at=0),
    "error event first, cut": Script(fault="error_event", at=0, bytes_per_write=20),
    "DONE first": Script(fault="done_without_finish", at=0),
}
DOCUMENT_FAILURES = {
    "reset before the head": Script(fault="rst", at=BEFORE_HEAD),
    "closed inside the body": Script(fault="fin", at=0),
    "reset inside the body": Script(fault="rst", at=0),
    "500": Script(status=500, body=b"Internal Server Error"),
    "503": Script(status=503, body=b""),
}


def one_fails(world: World, script: Script) -> None:
    """Whichever engine is asked first fails once."""
    once = [script]
    for engine in world.engines:
        engine.decide = lambda _: once.pop() if once else None


@pytest.mark.parametrize("failure", FAILURES)
def test_a_stream_that_fails_before_its_first_byte_is_asked_of_another_engine(pair: World, failure: str) -> None:
    one_fails(pair, FAILURES[failure])
    answer = pair.say()
    assert (answer.status, answer.text, answer.end) == (200, "Hello, world", "complete")
    assert pair.seen_by_engines == 2


@pytest.mark.parametrize("failure", DOCUMENT_FAILURES)
def test_a_document_that_fails_is_asked_of_another_engine(pair: World, failure: str) -> None:
    one_fails(pair, DOCUMENT_FAILURES[failure])
    answer = pair.say(stream=False)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello, world"
    assert pair.seen_by_engines == 2


@pytest.mark.parametrize("path", BODIES)
def test_every_route_fails_over(pair: World, path: str) -> None:
    one_fails(pair, Script(fault="rst", at=BEFORE_HEAD))
    answer = pair.ask(path, {**BODIES[path], "stream": True})
    assert (answer.status, answer.end) == (200, "complete")
    assert pair.seen_by_engines == 2


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_refuses_connections_is_passed_over(pair: World, dead: int, stream: bool) -> None:
    pair.engines[dead].down()
    assert [pair.say(stream=stream).status for _ in range(5)] == [200] * 5
    assert len(pair.engines[1 - dead].seen) == 5


def test_an_engine_that_resets_new_connections_is_passed_over(pair: World) -> None:
    for engine in pair.engines:
        engine.kill_idle()
    pair.engines[0].reset_on_accept = 100
    assert [pair.say().status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize("stream", [True, False])
def test_with_every_engine_down_it_is_5xx_and_heals_by_itself(world: MakeWorld, stream: bool) -> None:
    pair = world(2, {"front.retry.budget_ratio": 1, "front.engine_poll_seconds": 0.2, "front.hold.seconds": 0})
    for engine in pair.engines:
        engine.down()
    for _ in range(5):
        refusal = pair.say(stream=stream)
        assert refusal.status in (502, 503)
        assert int(refusal.headers["retry-after"]) >= 1
        assert refusal.error["code"]
        time.sleep(0.15)
    pair.engines[1].up()
    eventually(lambda: pair.say(stream=stream).status == 200, within=3, what="service after an engine is back")


def test_the_only_engine_is_asked_again_however_often_it_failed(solo: World) -> None:
    solo.engine.script = Script(status=500, body=b"no")
    assert {solo.say().status for _ in range(15)} <= {502, 503}
    solo.engine.script = Script()
    assert solo.say().text == "Hello, world"


def test_with_every_engine_failing_the_attempts_end(pair: World) -> None:
    for engine in pair.engines:
        engine.script = Script(fault="rst", at=BEFORE_HEAD)
    refusal = pair.say()
    assert refusal.status == 502
    assert refusal.error["type"]
    assert str(pair.engine.port) not in refusal.body.decode()
    assert pair.seen_by_engines <= 3


def test_what_broke_two_engines_is_not_to_be_retried_by_the_client(world: MakeWorld) -> None:
    three = world(3, {"front.retry.budget_ratio": 1})
    for engine in three.engines:
        engine.script = Script(fault="rst", at=BEFORE_HEAD)
    refusal = three.say()
    assert refusal.status == 502
    assert refusal.headers["x-should-retry"] == "false"
    assert three.seen_by_engines <= 3


def test_a_request_that_kills_engines_kills_two_at_most(world: MakeWorld) -> None:
    three = world(3, {"front.retry.budget_ratio": 1})
    for _ in range(6):  # so that each engine has a kept connection
        three.say()
    for engine in three.engines:
        engine.script = Script(head_delay=0.1, fault="kill", at=BEFORE_HEAD)
    refusal = three.say()
    assert [engine.is_up for engine in three.engines].count(False) <= 2
    assert refusal.status == 502


def test_an_engines_verdict_on_the_request_is_passed_on_and_not_retried(pair: World) -> None:
    said = vllm_wire.error_body(400, "This model's maximum context length is 2048.", "BadRequestError", "messages")
    for engine in pair.engines:
        engine.script = Script(status=400, body=said)
    for stream in (True, False):
        refusal = pair.say(stream=stream)
        assert refusal.status == 400
        assert refusal.error["message"] == "This model's maximum context length is 2048."
        assert refusal.error["type"] == "invalid_request_error"
        assert refusal.error["param"] == "messages"
    assert pair.seen_by_engines == 2


def test_an_engines_verdict_is_said_in_anthropics_shape_on_messages(solo: World) -> None:
    solo.engine.script = Script(status=400, body=b'{"type":"error","error":{"type":"x","message":"too long"}}')
    refusal = solo.ask(MESSAGES, BODIES[MESSAGES])
    assert refusal.status == 400
    assert refusal.json()["error"] == {"type": "invalid_request_error", "message": "too long"}


def test_after_a_verdict_the_engine_is_asked_as_before(solo: World) -> None:
    solo.engine.next(*[Script(status=400, body=b"{}")] * 10)
    assert [solo.say().status for _ in range(10)] == [400] * 10
    assert solo.say().status == 200


def test_an_engines_401_is_not_the_clients(solo: World) -> None:
    solo.engine.script = Script(status=401, body=b'{"error":"Unauthorized"}')
    assert solo.say().status in (502, 503)


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_meets_the_end_of_an_idle_connection_is_sent_anew(world: MakeWorld, stream: bool) -> None:
    quiet = world(settings={"front.engine_poll_seconds": 60})
    quiet.say()
    time.sleep(1.1)  # engines close connections that were idle, never busy ones
    quiet.engine.drop_reused = True
    assert quiet.say(stream=stream).status == 200


@pytest.mark.parametrize("close", ["announced", "silent"])
def test_an_engine_that_closes_after_each_answer_serves_all(solo: World, close: str) -> None:
    solo.engine.script = Script(close=close)
    assert [solo.say(stream=number % 2 == 0).status for number in range(20)] == [200] * 20


def test_engine_connections_are_kept_and_used_again(solo: World) -> None:
    solo.say()
    before = solo.engine.connections
    for number in range(20):
        assert solo.say(stream=number % 2 == 0).status == 200
    assert solo.engine.connections - before <= 1


@pytest.mark.parametrize("failure", ["500", "reset before the head", "closed after the head"])
def test_retries_stay_within_the_budget(world: MakeWorld, failure: str) -> None:
    two = world(2)
    for engine in two.engines:
        engine.script = FAILURES[failure]
    with two.wire() as wire:
        statuses = {wire.send(two.chat()).answer().status for _ in range(100)}
    assert statuses <= {502, 503}
    assert two.seen_by_engines <= 1.2 * 100 + 10


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_never_took_a_request_costs_nothing_of_the_budget(world: MakeWorld, stream: bool) -> None:
    pair = world(2, {"front.retry.budget_ratio": 0, "front.retry.cooldown_seconds": 0.01, "front.hold.seconds": 0})
    draining = b'{"error":{"message":"shutting down","type":"overloaded_error","code":"draining"}}'
    pair.engines[0].script = Script(status=503, body=draining)
    assert [pair.say(stream=stream).status for _ in range(8)] == [200] * 8
    assert pair.engines[0].seen
    pair.engines[0].down()
    assert [pair.say(stream=stream).status for _ in range(8)] == [200] * 8
    pair.engines[1].down()
    pair.engines[0].script = Script()
    pair.engines[0].up()
    assert [pair.say(stream=stream).status for _ in range(8)] == [200] * 8


def test_without_a_budget_what_an_engine_broke_is_not_asked_of_another(world: MakeWorld) -> None:
    pair = world(2, {"front.retry.budget_ratio": 0, "front.retry.cooldown_seconds": 0.01, "front.hold.seconds": 0})
    one_fails(pair, FAILURES["500"])
    assert pair.say().status == 502
    assert pair.seen_by_engines == 1


def test_an_engine_that_failed_is_asked_last_for_a_while(world: MakeWorld) -> None:
    pair = world(2, {"front.retry.budget_ratio": 1, "front.retry.cooldown_seconds": 30})
    pair.engines[0].script = Script(status=500, body=b"no")
    for _ in range(6):
        assert pair.say().status == 200
    assert len(pair.engines[0].seen) <= 1
    assert len(pair.engines[1].seen) == 6


def test_an_answer_of_the_wrong_kind_is_a_failure(solo: World) -> None:
    with solo.wire() as wire:
        solo.engine.script = Script(status=200, headers={"Content-Type": "text/html"}, body=b"<html>login</html>")
        refusal = wire.send(solo.request(CHAT, BODIES[CHAT])).answer()
    assert refusal.status == 502
    assert b"html" not in refusal.body
