"""Responses that were stored: read, cancelled and deleted, by their own tenant."""

from __future__ import annotations

import itertools
import time
from typing import Any

import openai
import pytest

from serving.front.state.records import Item, Key, Session, Turn
from tests.support.cold_front import ColdFront
from tests.support.script import Script
from tests.support.waiting import eventually

RESPONSES = "/v1/responses"
_numbers = itertools.count()


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def stored(cold: ColdFront, status: str = "completed", *, inputs: int = 1, **fields: Any) -> str:
    """A response of the first team as a generation stores it; its id."""
    response_id = f"resp_{next(_numbers)}"
    text = {"type": "output_text", "text": "Hello, world", "annotations": []}
    message = {"id": f"msg_{response_id}", "type": "message", "role": "assistant", "content": [text]}
    content = {"id": response_id, "object": "response", "created_at": 1, "status": status, "model": "tiny"}
    content |= {"output": [message] if status == "completed" else [], "error": None, "parallel_tool_calls": True}
    asked = [{"id": f"in_{response_id}_{number}", **said(f"i{number}")} for number in range(inputs)]
    body = {"object": content, "input": asked, "session": None, "turn": None, "background": False, "lease_until": None}
    cold.put("response", response_id, {**body, **fields})
    return response_id


def running(cold: ColdFront, *, lease_seconds: float = 60, status: str = "in_progress", **fields: Any) -> str:
    """One that a replica generates in the background."""
    return stored(cold, status, background=True, lease_until=time.time() + lease_seconds, **fields)


def texts(entries: Any) -> list[str]:
    return [entry.content[0].text for entry in entries]


@pytest.fixture
def client(cold: ColdFront) -> openai.OpenAI:
    return cold.client()


def test_a_response_is_read_as_it_was_answered(cold: ColdFront, client: openai.OpenAI) -> None:
    response_id = stored(cold)
    response = client.responses.retrieve(response_id, include=["message.output_text.logprobs"])
    assert (response.id, response.status, response.output_text) == (response_id, "completed", "Hello, world")


def test_a_deleted_response_is_gone(cold: ColdFront, client: openai.OpenAI) -> None:
    response_id = stored(cold)
    answer = cold.ask(f"{RESPONSES}/{response_id}", method="DELETE")
    assert answer.json() == {"id": response_id, "object": "response.deleted", "deleted": True}
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            gone(response_id)


@pytest.mark.parametrize("order", ["asc", "desc", None])
def test_its_input_items_are_paged(cold: ColdFront, client: openai.OpenAI, order: Any) -> None:
    response_id = stored(cold, inputs=7)
    options = {} if order is None else {"order": order}
    found = texts(client.responses.input_items.list(response_id, limit=3, **options))
    in_order = [f"i{number}" for number in range(7)]
    assert found == (in_order if order == "asc" else in_order[::-1])


def test_a_cursor_of_another_response_is_refused(cold: ColdFront) -> None:
    ours, other = stored(cold), stored(cold)
    answer = cold.ask(f"{RESPONSES}/{ours}/input_items?after=in_{other}_0")
    assert (answer.status, answer.error["param"]) == (400, "after")


def test_deleting_a_response_empties_its_turn_and_no_other(cold: ColdFront, client: openai.OpenAI) -> None:
    key = Key("red", "conv_deletes")
    cold.run(cold.store.create(Session(key, time.time())))
    first, second = stored(cold, session=key.id, turn=1), stored(cold, session=key.id, turn=2)
    for number, response_id in enumerate((first, second)):
        items = (Item(f"in_{response_id}_0", said(response_id)),)
        cold.run(cold.store.append(key, number, Turn(f"turn_{number}", time.time(), "response", items)))
    # It never came to its turn; another response took the number.
    lost = stored(cold, "failed", background=True, session=key.id, turn=2)
    client.responses.delete(lost)
    client.responses.delete(first)
    left = client.conversations.items.list(key.id).data
    assert texts(left) == [second]


def test_only_background_responses_can_be_cancelled(cold: ColdFront) -> None:
    answer = cold.ask(f"{RESPONSES}/{stored(cold)}/cancel", {})
    assert (answer.status, answer.error["message"]) == (400, "Cannot cancel a synchronous response.")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_running_response_is_cancelled_for_good(cold: ColdFront, client: openai.OpenAI, status: str) -> None:
    response_id = running(cold, status=status)
    assert client.responses.cancel(response_id).status == "cancelled"
    assert client.responses.retrieve(response_id).status == "cancelled"
    assert client.responses.cancel(response_id).status == "cancelled"


@pytest.mark.parametrize("status", ["completed", "failed", "incomplete"])
def test_cancelling_one_that_has_ended_returns_it_as_it_is(cold: ColdFront, client: openai.OpenAI, status: str) -> None:
    response_id = stored(cold, status, background=True)
    assert client.responses.cancel(response_id) == client.responses.retrieve(response_id)
    assert client.responses.retrieve(response_id).status == status


def test_a_cancel_reaches_the_replica_that_generates(cold: ColdFront, client: openai.OpenAI) -> None:
    cold.hear()
    response_id = running(cold)
    client.responses.cancel(response_id)
    eventually(lambda: Key("red", response_id) in cold.cancelled)


def test_one_whose_replica_died_has_failed(cold: ColdFront, client: openai.OpenAI) -> None:
    response_id = running(cold, lease_seconds=-1)
    response = client.responses.retrieve(response_id)
    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, bool(response.error.message)) == ("server_error", True)
    assert client.responses.cancel(response_id).status == "failed"


def test_a_foreign_id_looks_like_one_that_never_was(cold: ColdFront) -> None:
    response_id = running(cold)
    path = f"{RESPONSES}/{response_id}"
    asked = [(path, "GET"), (f"{path}?stream=true", "GET"), (f"{path}/input_items", "GET"), (f"{path}/cancel", "POST")]
    asked.append((path, "DELETE"))
    foreign = [cold.ask(path, method=method, team="blue") for path, method in asked]
    assert cold.ask(path).json()["status"] == "in_progress"
    cold.ask(path, method="DELETE")
    unknown = [cold.ask(path, method=method) for path, method in asked]
    assert [answer.body for answer in foreign] == [answer.body for answer in unknown]
    assert {(answer.status, answer.error["code"]) for answer in foreign + unknown} == {(404, "response_not_found")}


def test_a_list_of_responses_does_not_exist(cold: ColdFront) -> None:
    answer = cold.ask(RESPONSES)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_response_is_stored_unless_asked_not_to(client: openai.OpenAI) -> None:
    made = client.responses.create(model="tiny", input="Hello", metadata={"a": "b"})
    kept = client.responses.retrieve(made.id)
    assert (kept.id, kept.output, kept.usage, kept.created_at) == (made.id, made.output, made.usage, made.created_at)
    assert texts(client.responses.input_items.list(made.id)) == ["Hello"]
    unstored = client.responses.create(model="tiny", input="Hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unstored.id)


def test_what_continues_a_deleted_response_no_longer_sees_it(cold: ColdFront, client: openai.OpenAI) -> None:
    first = client.responses.create(model="tiny", input="My secret is 42.")
    second = client.responses.create(model="tiny", input="Remember?", previous_response_id=first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="tiny", input="Again", previous_response_id=first.id)
    client.responses.create(model="tiny", input="Still?", previous_response_id=second.id)
    seen = [item["content"] for item in cold.world.engine.seen[-1].body["input"]]
    assert seen == ["Remember?", "Hello, world", "Still?"]


def test_a_background_response_is_there_before_and_after_its_end(cold: ColdFront, client: openai.OpenAI) -> None:
    cold.world.engine.next(Script(head_delay=0.5))
    made = client.responses.create(model="tiny", input="Hello", background=True)
    assert made.status in ("queued", "in_progress")
    assert client.responses.retrieve(made.id).status in ("queued", "in_progress")
    eventually(lambda: client.responses.retrieve(made.id).status == "completed")
    assert client.responses.retrieve(made.id).output_text == "Hello, world"


def test_cancelling_frees_the_engine_and_leaves_no_turn(cold: ColdFront, client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    cold.world.engine.next(Script(head_delay=10))
    before = len(cold.world.engine.seen)
    made = client.responses.create(model="tiny", input="Hello", background=True, conversation=conversation)
    at_engine = cold.world.engine.wait_for(before + 1)
    assert client.responses.cancel(made.id).status == "cancelled"
    eventually(lambda: at_engine.left_at is not None, what="the engine to be left")
    assert client.responses.retrieve(made.id).status == "cancelled"
    assert client.conversations.items.list(conversation).data == []
    client.responses.delete(made.id)


def test_deleting_a_running_response_ends_it(cold: ColdFront, client: openai.OpenAI) -> None:
    cold.world.engine.next(Script(head_delay=10))
    before = len(cold.world.engine.seen)
    made = client.responses.create(model="tiny", input="Hello", background=True)
    at_engine = cold.world.engine.wait_for(before + 1)
    client.responses.delete(made.id)
    eventually(lambda: at_engine.left_at is not None, what="the engine to be left")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
