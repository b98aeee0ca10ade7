"""Responses in the background: they run without a client, are read, followed and cancelled from every front."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.raw_http import Answer
from tests.support.script import BEFORE_HEAD, Script
from tests.support.two_fronts import TwoFronts, answered, new_id
from tests.support.waiting import eventually
from tests.support.world import RESPONSES

RUNNING = ("queued", "in_progress")
HANGS = Script(fault="hang", at=BEFORE_HEAD)


def begin(fronts: TwoFronts, text: str = "one", **fields: Any) -> Any:
    """A response that its client was told of as queued."""
    answer = fronts.respond(text, background=True, **fields)
    assert answer.status == 200
    assert answer.json()["status"] == "queued"
    return answer.json()


def read(fronts: TwoFronts, response_id: str, front: int = 1) -> Any:
    answer = fronts.ask(f"{RESPONSES}/{response_id}", front=front)
    assert answer.status == 200, answer.body
    return answer.json()


def ended(fronts: TwoFronts, response_id: str, front: int = 1, within: float = 10) -> Any:
    def probe() -> Any:
        found = read(fronts, response_id, front)
        return found if found["status"] not in RUNNING else None

    return eventually(probe, within=within, what="the end of the response")


def cancel(fronts: TwoFronts, response_id: str, front: int = 1) -> Answer:
    return fronts.ask(f"{RESPONSES}/{response_id}/cancel", b"", front=front)


def numbers(events: list[bytes]) -> list[int]:
    return [int(event.partition(b'"sequence_number":')[2].partition(b",")[0].strip(b"}\n")) for event in events]


def started_stream(fronts: TwoFronts, script: Script, events: int = 3, **fields: Any) -> str:
    """The id of a background stream whose client left after so many events."""
    fronts.engine.next(script)
    body = {"model": "tiny", "input": "one", "background": True, "stream": True, **fields}
    with fronts.wire() as wire:
        stream = wire.events(wire.send(fronts.request(RESPONSES, body)).head())
        first, *_ = [next(stream) for _ in range(events)]
    return first.partition(b'"id":"')[2].partition(b'"')[0].decode()


def test_a_response_is_queued_and_then_completed_seen_from_the_other_front(fronts: TwoFronts) -> None:
    fronts.engine.next(HANGS)
    response = begin(fronts, metadata={"a": "b"})
    seen = fronts.engine.wait_for()
    assert read(fronts, response["id"])["status"] in RUNNING
    assert "background" not in seen.body
    seen.release()
    done = ended(fronts, response["id"])
    assert (done["status"], done["background"], done["id"]) == ("completed", True, response["id"])
    assert done["output"][0]["content"][0]["text"] == "Hello, world"
    fronts.respond("two", previous_response_id=response["id"])
    assert fronts.shown() == [*answered("one"), ("user", "two")]


def test_a_stream_goes_on_without_its_client_and_is_followed_elsewhere(fronts: TwoFronts) -> None:
    response_id = started_stream(fronts, Script(fault="hang", at=6))
    seen = fronts.engine.wait_for()
    with fronts.wire(1) as wire:
        path = f"{RESPONSES}/{response_id}?stream=true&starting_after=2"
        stream = wire.events(answer := wire.send(fronts.request(path)).head())
        events = [next(stream) for _ in range(3)]
        seen.release()
        events += [event for event in stream if not event.startswith(b":")]
    assert answer.end == "complete"
    assert numbers(events) == list(range(3, 11))
    assert b"event: response.completed" in events[-1]
    assert read(fronts, response_id)["status"] == "completed"


def test_a_cancel_from_the_other_front_frees_the_engine_and_leaves_no_turn(fronts: TwoFronts) -> None:
    conversation = fronts.client().conversations.create().id
    fronts.engine.next(HANGS)
    response = begin(fronts, conversation=conversation)
    seen = fronts.engine.wait_for()
    answer = cancel(fronts, response["id"])
    assert (answer.status, answer.json()["status"]) == (200, "cancelled")
    eventually(lambda: seen.left_at is not None, within=2, what="the engine being freed")
    assert read(fronts, response["id"], 0)["status"] == "cancelled"
    assert fronts.kept(conversation) == []


@pytest.mark.timeout(20)
def test_a_cancelled_stream_ends_for_its_followers_and_leaves_no_turn(fronts: TwoFronts) -> None:
    conversation = fronts.client().conversations.create().id
    response_id = started_stream(fronts, Script(fault="hang", at=6), events=5, conversation=conversation)
    with fronts.wire(1) as wire:
        followed = wire.send(fronts.request(f"{RESPONSES}/{response_id}?stream=true")).head()
        assert cancel(fronts, response_id).status == 200
        events = list(wire.events(followed))
    assert b"response_cancelled" in events[-1]
    assert followed.end == "cut"
    assert read(fronts, response_id)["status"] == "cancelled"
    assert fronts.kept(conversation) == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Script(status=500), "engine_failed"),
        (Script(status=400), "invalid_request_error"),
        (Script(fault="rst", at=0), "engine_failed"),
        (Script(body=b"{}"), "engine_failed"),
    ],
    ids=["500", "400", "broken", "no-response"],
)
def test_an_engine_that_fails_makes_a_failed_response_and_no_turn(
    fronts: TwoFronts, failure: Script, code: str
) -> None:
    conversation = fronts.client().conversations.create().id
    fronts.engine.script = failure
    failed = ended(fronts, begin(fronts, conversation=conversation)["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert failed["error"]["message"]
    assert fronts.kept(conversation) == []


def test_a_stream_that_breaks_makes_a_failed_response_that_says_why(fronts: TwoFronts) -> None:
    response_id = started_stream(fronts, Script(fault="rst", at=6))
    failed = ended(fronts, response_id)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "engine_failed")


def test_a_response_whose_front_was_killed_has_failed_after_its_lease(fronts: TwoFronts) -> None:
    fronts.engine.next(HANGS)
    response = begin(fronts)
    fronts.engine.wait_for()
    fronts.fronts[0].kill()
    assert read(fronts, response["id"])["status"] in RUNNING
    failed = ended(fronts, response["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")


def test_a_running_response_outlives_its_lease_many_times(fronts: TwoFronts) -> None:
    fronts.engine.next(Script(head_delay=4.5))
    assert ended(fronts, begin(fronts)["id"])["status"] == "completed"


def test_a_stopping_front_finishes_what_runs_in_the_background(fronts: TwoFronts) -> None:
    fronts.engine.next(Script(head_delay=0.7))
    response = begin(fronts)
    fronts.engine.wait_for()
    assert fronts.fronts[0].terminate() == 0
    assert read(fronts, response["id"])["status"] == "completed"


def test_what_is_not_stored_cannot_run_in_the_background(fronts: TwoFronts) -> None:
    answer = fronts.respond(background=True, store=False)
    assert (answer.status, answer.error["param"]) == (400, "background")
    assert not fronts.engine.seen


def test_one_that_ended_is_not_cancelled(fronts: TwoFronts) -> None:
    response = begin(fronts)
    ended(fronts, response["id"])
    assert cancel(fronts, response["id"]).json()["status"] == "completed"
    plain = fronts.respond().json()["id"]
    assert cancel(fronts, plain).status == 400


def test_a_deleted_one_is_stopped_and_gone(fronts: TwoFronts) -> None:
    fronts.engine.next(HANGS)
    response = begin(fronts)
    seen = fronts.engine.wait_for()
    assert fronts.ask(f"{RESPONSES}/{response['id']}", method="DELETE", front=1).status == 200
    eventually(lambda: seen.left_at is not None, within=2, what="the engine being freed")
    assert fronts.ask(f"{RESPONSES}/{response['id']}").status == 404


def test_one_key_begins_one_response(fronts: TwoFronts) -> None:
    key = {"Idempotency-Key": new_id("key")}
    response = begin(fronts, headers=key)
    again = fronts.respond("one", background=True, headers=key, front=1).json()
    assert (again["id"], again["status"]) == (response["id"], "completed")
    assert len(fronts.engine.seen) == 1
