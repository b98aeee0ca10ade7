"""The Conversations API: what is added is there once, in order, for its tenant alone, until it is deleted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from serving.front.state.records import Item, Key, Session, Turn
from tests.support.cold_front import ColdFront

CONVERSATIONS = "/v1/conversations"


def message(text: str, role: str = "user") -> Any:
    return {"type": "message", "role": role, "content": text}


def said(entries: Any) -> list[str]:
    return [entry.content[0].text for entry in entries]


@pytest.fixture
def client(cold: ColdFront) -> openai.OpenAI:
    return cold.client()


@pytest.fixture
def ten(client: openai.OpenAI) -> str:
    """A conversation of three turns and ten items: m0 to m9."""
    conversation = client.conversations.create(items=[message(f"m{index}") for index in range(4)])
    client.conversations.items.create(conversation.id, items=[message("m4")])
    client.conversations.items.create(conversation.id, items=[message(f"m{index}") for index in range(5, 10)])
    return conversation.id


def test_a_conversation_is_created_read_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "ships"})
    assert made.id.startswith("conv_")
    assert abs(made.created_at - time.time()) < 60
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"topic": "boats"}).metadata == {"topic": "boats"}
    assert client.conversations.retrieve(made.id).metadata == {"topic": "boats"}
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_a_deleted_conversation_takes_its_items_along(client: openai.OpenAI, ten: str) -> None:
    item = client.conversations.items.list(ten).data[0].id
    client.conversations.delete(ten)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.list(ten)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(str(item), conversation_id=ten)


@pytest.mark.parametrize("limit", [1, 3, 4, 10, 100])
def test_pages_of_either_order_hold_every_item_once(client: openai.OpenAI, ten: str, limit: int) -> None:
    every = [f"m{index}" for index in range(10)]
    assert said(client.conversations.items.list(ten, limit=limit)) == every[::-1]
    assert said(client.conversations.items.list(ten, limit=limit, order="asc")) == every


def test_a_list_says_where_it_begins_ends_and_whether_there_is_more(cold: ColdFront, ten: str) -> None:
    page = cold.ask(f"{CONVERSATIONS}/{ten}/items?limit=9").json()
    assert (page["object"], page["has_more"], len(page["data"])) == ("list", True, 9)
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    rest = cold.ask(f"{CONVERSATIONS}/{ten}/items?limit=1&after={page['last_id']}").json()
    assert (rest["has_more"], rest["data"][0]["content"][0]["text"]) == (False, "m0")
    nothing = cold.ask(f"{CONVERSATIONS}/{ten}/items?after={rest['last_id']}").json()
    assert nothing == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_without_a_limit_a_page_holds_twenty(client: openai.OpenAI) -> None:
    conversation = client.conversations.create(items=[message("x")] * 20).id
    client.conversations.items.create(conversation, items=[message("y")])
    assert len(client.conversations.items.list(conversation).data) == 20


def test_pages_skip_any_number_of_deleted_items(client: openai.OpenAI) -> None:
    conversation = client.conversations.create(items=[message("first")]).id
    for _ in range(70):
        added = client.conversations.items.create(conversation, items=[message("gone")]).data[0]
        client.conversations.items.delete(str(added.id), conversation_id=conversation)
    client.conversations.items.create(conversation, items=[message("last")])
    page = client.conversations.items.list(conversation, limit=2)
    assert (said(page.data), page.has_more) == (["last", "first"], False)


@pytest.mark.parametrize("after", ["msg_unknown", "%00", "x" * 200, "other"])
def test_a_cursor_that_is_not_of_this_conversation_is_refused(
    cold: ColdFront, client: openai.OpenAI, ten: str, after: str
) -> None:
    if after == "other":
        other = client.conversations.create(items=[message("elsewhere")]).id
        after = str(client.conversations.items.list(other).data[0].id)
    answer = cold.ask(f"{CONVERSATIONS}/{ten}/items?after={after}")
    assert (answer.status, answer.error["param"], answer.error["code"]) == (400, "after", "invalid_cursor")


LIMITS_REFUSED = ["limit=0", "limit=101", "limit=-1", "limit=ten", "limit=", "limit=1.5", "limit=%C2%B2"]


@pytest.mark.parametrize("query", [*LIMITS_REFUSED, "order=up", "order="])
def test_a_bad_query_is_refused_by_name(cold: ColdFront, ten: str, query: str) -> None:
    answer = cold.ask(f"{CONVERSATIONS}/{ten}/items?{query}")
    assert (answer.status, answer.error["param"]) == (400, query.partition("=")[0])


def test_include_is_accepted(client: openai.OpenAI, ten: str) -> None:
    listed = client.conversations.items.list(ten, include=["message.output_text.logprobs"]).data[0]
    assert (
        client.conversations.items.retrieve(
            str(listed.id), conversation_id=ten, include=["message.output_text.logprobs"]
        ).id
        == listed.id
    )


def test_a_deleted_item_is_gone_and_the_others_stay(client: openai.OpenAI, ten: str) -> None:
    third = str(client.conversations.items.list(ten, order="asc").data[3].id)
    assert client.conversations.items.delete(third, conversation_id=ten).id == ten
    assert said(client.conversations.items.list(ten, order="asc")) == [f"m{index}" for index in range(10) if index != 3]
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(third, conversation_id=ten)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.delete(third, conversation_id=ten)


def test_a_foreign_id_looks_like_one_that_never_was(cold: ColdFront, client: openai.OpenAI, ten: str) -> None:
    item = client.conversations.items.list(ten).data[0].id
    asked: list[tuple[str, Any, str]] = [
        (f"{CONVERSATIONS}/{ten}", None, "GET"),
        (f"{CONVERSATIONS}/{ten}", {"metadata": {}}, "POST"),
        (f"{CONVERSATIONS}/{ten}", None, "DELETE"),
        (f"{CONVERSATIONS}/{ten}/items", None, "GET"),
        (f"{CONVERSATIONS}/{ten}/items", {"items": [message("intruder")]}, "POST"),
        (f"{CONVERSATIONS}/{ten}/items/{item}", None, "GET"),
        (f"{CONVERSATIONS}/{ten}/items/{item}", None, "DELETE"),
    ]
    foreign = [cold.ask(path, body, method=method, team="blue") for path, body, method in asked]
    assert len(client.conversations.items.list(ten, limit=100).data) == 10
    client.conversations.delete(ten)
    unknown = [cold.ask(path, body, method=method) for path, body, method in asked]
    assert [answer.body for answer in foreign] == [answer.body for answer in unknown]
    assert {(answer.status, answer.error["code"]) for answer in foreign + unknown} == {(404, "conversation_not_found")}
    assert all(ten in answer.error["message"] for answer in unknown)


@pytest.mark.parametrize("id", ["%00", "%F0%9F%98%80", "a%20b", "x" * 5000, "..%2F..", "%27%3B--"])
def test_an_id_that_can_be_none_is_404(cold: ColdFront, id: str) -> None:
    answer = cold.ask(f"{CONVERSATIONS}/{id}")
    assert answer.status == 404
    assert len(answer.body) < 400


ITEMS_REFUSED: dict[str, tuple[Any, str]] = {
    "none": (None, "items"),
    "empty": ([], "items"),
    "text": ("hello", "items"),
    "object": ({}, "items"),
    "21": ([message("x")] * 21, "items"),
    "10000": ([message("x")] * 10_000, "items"),
    "number": ([1], "items[0]"),
    "no-type": ([{}], "items[0].type"),
    "role": ([message("x"), message("x", "wizard")], "items[1].role"),
    "content": ([{"type": "message", "role": "user", "content": 7}], "items[0].content"),
    "url": (
        [{"role": "user", "content": [{"type": "input_image", "image_url": "http://host/"}]}],
        "items[0]",
    ),
}


@pytest.mark.parametrize("case", ITEMS_REFUSED)
def test_bad_items_are_refused_by_name_and_nothing_is_added(cold: ColdFront, ten: str, case: str) -> None:
    items, param = ITEMS_REFUSED[case]
    answer = cold.ask(f"{CONVERSATIONS}/{ten}/items", {"items": items})
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert (answer.error["param"] or "").startswith(param)
    assert len(cold.ask(f"{CONVERSATIONS}/{ten}/items?limit=100").json()["data"]) == 10


METADATA_REFUSED: dict[str, Any] = {
    "list": [],
    "17-pairs": {str(index): "" for index in range(17)},
    "long-name": {"n" * 65: ""},
    "long-value": {"n": "v" * 513},
    "number": {"n": 1},
    "nested": {"n": {}},
}


@pytest.mark.parametrize("case", METADATA_REFUSED)
def test_bad_metadata_is_refused_by_name(cold: ColdFront, ten: str, case: str) -> None:
    for path in (CONVERSATIONS, f"{CONVERSATIONS}/{ten}"):
        answer = cold.ask(path, {"metadata": METADATA_REFUSED[case]})
        assert (answer.status, answer.error["param"].partition(".")[0]) == (400, "metadata")


def test_metadata_may_be_as_large_as_openai_allows(client: openai.OpenAI) -> None:
    most = {f"{index:064}": "v" * 512 for index in range(16)}
    assert client.conversations.create(metadata=most).metadata == most


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"bogus": 1}, "bogus"),
        ({"history": {"strategy": "magic"}}, "history.strategy"),
        ({"history": "full"}, "history"),
        ({"user": 7}, "user"),
        ({"user": ""}, "user"),
    ],
)
def test_other_bad_fields_of_a_new_conversation_are_refused_by_name(
    cold: ColdFront, body: dict[str, Any], param: str
) -> None:
    answer = cold.ask(CONVERSATIONS, body)
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(cold: ColdFront, body: bytes) -> None:
    assert cold.ask(CONVERSATIONS, body).error["code"] == "bad_json"


def test_a_body_that_is_too_large_is_413(cold: ColdFront) -> None:
    assert cold.ask(CONVERSATIONS, b'{"items": "' + b"x" * (16 << 20) + b'"}').error["code"] == "request_too_large"


def test_a_conversation_keeps_a_history_of_its_own(cold: ColdFront) -> None:
    window = {"strategy": "window", "turns": 4}
    made = cold.ask(CONVERSATIONS, {"history": window}).json()
    assert made["history"] == window
    path = f"{CONVERSATIONS}/{made['id']}"
    assert cold.ask(path, {"metadata": {"a": "b"}}).json() == {**made, "metadata": {"a": "b"}}
    assert "history" not in cold.ask(path, {"history": None}).json()
    assert cold.ask(path, {}).error["param"] == "metadata"


def test_racing_additions_all_end_up_whole_one_after_the_other(cold: ColdFront, client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id

    def add(writer: int) -> None:
        for number in range(3):
            cold.client().conversations.items.create(
                conversation, items=[message(f"{writer}.{number}.{part}") for part in "ab"]
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    texts = said(client.conversations.items.list(conversation, limit=100, order="asc"))
    pairs = [text[:-2] for text in texts[::2]]
    assert texts == [f"{pair}.{part}" for pair in pairs for part in "ab"]
    assert sorted(pairs) == [f"{writer}.{number}" for writer in range(8) for number in range(3)]
    # Each writer's own order holds: a stable sort by writer sorts all.
    assert sorted(pairs, key=lambda pair: pair[0]) == sorted(pairs)


def test_an_idempotency_key_adds_its_items_once(cold: ColdFront, ten: str) -> None:
    path, headers = f"{CONVERSATIONS}/{ten}/items", {"Idempotency-Key": "once"}
    first, again = (cold.ask(path, {"items": [message("new")]}, headers=headers) for _ in range(2))
    assert (first.status, first.body) == (200, again.body)
    assert len(cold.ask(f"{path}?limit=100").json()["data"]) == 11
    other = cold.ask(path, {"items": [message("newer")]}, headers=headers)
    assert (other.status, other.error["code"]) == (400, "idempotency_key_reused")


def test_a_chat_session_is_read_by_the_id_that_its_client_chose(cold: ColdFront, client: openai.OpenAI) -> None:
    key = Key("red", "support:42")
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    answer = {"role": "assistant", "content": "Let me look.", "tool_calls": [call]}
    items = (Item("msg_q", {"role": "user", "content": "Hi"}), Item("msg_a", answer))
    turn = Turn("turn_1", time.time(), "chat", items)
    cold.run(cold.store.append(key, 0, turn, new=Session(key, time.time())))
    listed = client.conversations.items.list(key.id, order="asc").data
    assert [item.type for item in listed] == ["message", "message", "function_call"]
    text = str(listed[1].id)
    assert client.conversations.items.retrieve(text, conversation_id=key.id) == listed[1]
    beyond = client.conversations.items.list(key.id, order="asc", after=str(listed[0].id)).data
    assert beyond == listed[1:]
    # What was one message goes as one.
    client.conversations.items.delete(text, conversation_id=key.id)
    assert said(client.conversations.items.list(key.id)) == ["Hi"]
    assert cold.ask(f"{CONVERSATIONS}/{key.id}", team="blue").status == 404


def test_a_chain_of_responses_is_no_conversation(cold: ColdFront) -> None:
    key = Key("red", "chain_1")
    cold.run(cold.store.create(Session(key, time.time())))
    assert cold.ask(f"{CONVERSATIONS}/{key.id}").status == 404


@pytest.fixture
def locked(cold: ColdFront) -> Iterator[None]:
    """Another process holds the file: reads go on, no write comes through."""
    other = sqlite3.connect(cold.world.store_url.removeprefix("sqlite:///"))
    other.execute("BEGIN IMMEDIATE")
    yield
    other.rollback()
    other.close()


@pytest.mark.usefixtures("locked")
def test_a_store_that_does_not_answer_is_503_with_retry_after(cold: ColdFront) -> None:
    answer = cold.ask(CONVERSATIONS, {})
    assert (answer.status, answer.error["code"]) == (503, "state_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_client_that_leaves_in_its_body_does_no_harm(cold: ColdFront) -> None:
    with cold.wire() as wire:
        wire.send(cold.request(CONVERSATIONS, {"metadata": {"a": "b" * 500}})[:-100])
        time.sleep(0.1)
    time.sleep(0.1)
    assert cold.ask(CONVERSATIONS, {}).status == 200
    assert "Traceback" not in "".join(cold.front.complaints)


def test_every_answer_has_a_request_id_and_needs_a_key(cold: ColdFront, ten: str) -> None:
    for path in (CONVERSATIONS, f"{CONVERSATIONS}/{ten}", f"{CONVERSATIONS}/{ten}/items"):
        assert cold.ask(path, {}, key=None).error["code"] == "invalid_api_key"
    assert cold.ask(f"{CONVERSATIONS}/{ten}").headers["x-request-id"]
    assert cold.ask(f"{CONVERSATIONS}/{ten}", method="PATCH").headers["allow"] == "DELETE, GET, POST"


def test_items_are_what_a_response_in_the_conversation_sees(cold: ColdFront, client: openai.OpenAI) -> None:
    first = client.conversations.create(items=[message("My name is Ann."), message("Hello Ann.", "assistant")]).id
    response = client.responses.create(model="tiny", input="Who am I?", conversation=first)
    seen = [item["content"] for item in cold.world.engine.seen[-1].body["input"]]
    assert seen == ["My name is Ann.", "Hello Ann.", "Who am I?"]
    texts = ["My name is Ann.", "Hello Ann.", "Who am I?", response.output_text]
    assert said(client.conversations.items.list(first, order="asc")) == texts


def test_a_deleted_item_is_no_longer_seen(cold: ColdFront, client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    client.responses.create(model="tiny", input="My secret is 42.", conversation=conversation)
    secret = client.conversations.items.list(conversation, order="asc").data[0]
    client.conversations.items.delete(str(secret.id), conversation_id=conversation)
    client.conversations.items.create(conversation, items=[message("Another.")])
    client.responses.create(model="tiny", input="What is it?", conversation=conversation)
    seen = [item["content"] for item in cold.world.engine.seen[-1].body["input"]]
    assert seen == ["Hello, world", "Another.", "What is it?"]


def test_a_deleted_conversation_cannot_be_continued(client: openai.OpenAI) -> None:
    conversation = client.conversations.create(items=[message("Hi")]).id
    client.responses.create(model="tiny", input="Hello", conversation=conversation)
    client.conversations.delete(conversation)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="tiny", input="Hello", conversation=conversation)


def test_the_history_of_a_conversation_can_be_changed(cold: ColdFront, client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    for number in range(3):
        client.responses.create(model="tiny", input=f"q{number}", conversation=conversation)
    cold.ask(f"{CONVERSATIONS}/{conversation}", {"history": {"strategy": "window", "turns": 1}})
    client.responses.create(model="tiny", input="q3", conversation=conversation)
    assert [item["content"] for item in cold.world.engine.seen[-1].body["input"]] == ["q2", "Hello, world", "q3"]


def test_a_session_of_chat_completions_is_a_conversation(cold: ColdFront, client: openai.OpenAI) -> None:
    for text in ("Hello", "Again"):
        cold.world.say(0, "trip:7", text)
    listed = client.conversations.items.list("trip:7", order="asc")
    assert said(listed) == ["Hello", "Hello, world", "Again", "Hello, world"]
    client.conversations.delete("trip:7")
    cold.world.say(0, "trip:7", "Anew")
    assert [entry["content"] for entry in cold.world.engine.seen[-1].body["messages"]] == ["Anew"]
