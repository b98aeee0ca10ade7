"""Chat completions that were stored: listed, filtered, read, labelled, deleted, by their own tenant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from serving.front.state.records import Document, Key
from tests.support.cold_front import ColdFront

COMPLETIONS = "/v1/chat/completions"
EVERY = [f"c{number:03}" for number in range(250)]


def completion(id: str, at: float, team: str = "red", model: str = "tiny", **metadata: str) -> Document:
    """As a replica stores it."""
    message = {"role": "assistant", "content": f"said {id}"}
    content = {"id": id, "object": "chat.completion", "created": int(at), "model": model, "metadata": metadata}
    content |= {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    messages = [{"id": f"{id}-{number}", "role": "user", "content": f"m{number}"} for number in range(5)]
    return Document(Key(team, id), "chat_completion", {"object": content, "messages": messages}, at)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColdFront]:
    """Red has 250 chat completions, c000 to c249; every hundredth is of a model of its own."""
    with ColdFront(tmp_path_factory.mktemp("cold")) as front:
        # Several share a second, as they do.
        made = [
            completion(EVERY[n], 1e9 + n // 7, model="tiny" if n % 100 else "large", parity="odd" if n % 2 else "even")
            for n in range(250)
        ]
        front.put_all(made)
        yield front


@pytest.fixture
def client(cold: ColdFront) -> openai.OpenAI:
    return cold.client()


@pytest.mark.parametrize(("order", "limit"), list(itertools.product(["asc", "desc"], [1, 20, 100])))
def test_pages_of_either_order_hold_each_once(client: openai.OpenAI, order: Any, limit: int) -> None:
    found = [completion.id for completion in client.chat.completions.list(order=order, limit=limit)]
    assert found == (EVERY if order == "asc" else EVERY[::-1])


def test_the_oldest_come_first_unless_asked_otherwise(client: openai.OpenAI) -> None:
    page = client.chat.completions.list()
    assert ([completion.id for completion in page.data], page.has_more) == (EVERY[:20], True)


def test_filters_find_all_that_match_and_nothing_else(client: openai.OpenAI) -> None:
    assert [found.id for found in client.chat.completions.list(model="large", limit=2)] == ["c000", "c100", "c200"]
    odd = client.chat.completions.list(metadata={"parity": "odd"}, limit=7)
    assert [found.id for found in odd] == EVERY[1::2]
    assert not client.chat.completions.list(metadata={"parity": "odd"}, model="large").data
    assert not client.chat.completions.list(metadata={"colour": "odd"}).data


def test_a_search_that_is_too_long_goes_on_where_it_stopped(cold: ColdFront) -> None:
    models = ["large" if number in (5, 2400) else "tiny" for number in range(2500)]
    cold.put_all(completion(f"b{number:04}", 1e9, "blue", model) for number, model in enumerate(models))
    first = cold.ask(f"{COMPLETIONS}?model=large", team="blue").json()
    assert ([found["id"] for found in first["data"]], first["has_more"]) == (["b0005"], True)
    rest = cold.ask(f"{COMPLETIONS}?model=large&after={first['last_id']}", team="blue").json()
    assert ([found["id"] for found in rest["data"]], rest["has_more"]) == (["b2400"], False)
    none = cold.ask(f"{COMPLETIONS}?model=huge", team="blue").json()
    assert (none["data"], none["has_more"]) == ([], True)
    assert not cold.ask(f"{COMPLETIONS}?model=huge&after={none['last_id']}", team="blue").json()["has_more"]


def test_one_is_read_with_its_messages(client: openai.OpenAI) -> None:
    assert client.chat.completions.retrieve("c007").choices[0].message.content == "said c007"
    messages = client.chat.completions.messages.list("c007", limit=2)
    assert [(message.id, message.content) for message in messages] == [(f"c007-{n}", f"m{n}") for n in range(5)]
    newest = client.chat.completions.messages.list("c007", order="desc", limit=1)
    assert (newest.data[0].content, newest.has_more) == ("m4", True)


@pytest.mark.parametrize("after", ["c250", "c007-0", "%00"])
def test_a_cursor_that_names_no_completion_is_refused(cold: ColdFront, after: str) -> None:
    answer = cold.ask(f"{COMPLETIONS}?after={after}")
    assert (answer.status, answer.error["param"]) == (400, "after")
    assert cold.ask(f"{COMPLETIONS}/c008/messages?after={after}").error["param"] == "after"


@pytest.mark.parametrize("query", ["limit=0", "order=up", "metadata=x", "metadata[=x", "metadata[a]=" + "v" * 513])
def test_a_bad_query_is_refused_by_name(cold: ColdFront, query: str) -> None:
    answer = cold.ask(f"{COMPLETIONS}?{query}")
    assert answer.status == 400
    assert query.startswith(answer.error["param"].partition(".")[0])


def test_its_metadata_can_be_replaced(cold: ColdFront, client: openai.OpenAI) -> None:
    cold.put_all([completion("labelled", 0, colour="red")])
    assert client.chat.completions.update("labelled", metadata={"size": "l"}).metadata == {"size": "l"}
    assert client.chat.completions.retrieve("labelled").metadata == {"size": "l"}
    for body in ({}, {"metadata": 1}, {"metadata": {"a": 1}}):
        assert cold.ask(f"{COMPLETIONS}/labelled", body).error["param"].startswith("metadata")
    assert cold.ask(f"{COMPLETIONS}/labelled", {"metadata": {}, "model": "x"}).error["param"] == "model"
    client.chat.completions.delete("labelled")


def test_a_deleted_one_is_gone(cold: ColdFront, client: openai.OpenAI) -> None:
    cold.put_all([completion("short", 0)])
    deleted = client.chat.completions.delete("short")
    assert (deleted.id, deleted.object, deleted.deleted) == ("short", "chat.completion.deleted", True)
    for gone in (client.chat.completions.retrieve, client.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            gone("short")
    assert "short" not in [found.id for found in client.chat.completions.list()]


def test_a_foreign_id_looks_like_one_that_never_was(cold: ColdFront) -> None:
    cold.put_all([completion("mine", 0)])
    path = f"{COMPLETIONS}/mine"
    asked = [(path, None, "GET"), (f"{path}?stream=true", None, "GET"), (f"{path}/messages", None, "GET")]
    asked += [(path, {"metadata": {}}, "POST"), (path, None, "DELETE")]  # type: ignore[list-item]
    foreign = [cold.ask(path, body, method=method, team="blue") for path, body, method in asked]
    cold.ask(path, method="DELETE")
    unknown = [cold.ask(path, body, method=method) for path, body, method in asked]
    assert [answer.body for answer in foreign] == [answer.body for answer in unknown]
    assert {answer.status for answer in foreign + unknown} == {404}
    assert "mine" not in [found.id for found in cold.client("blue").chat.completions.list(limit=100)]


def test_a_completion_is_stored_where_it_is_asked_for(cold: ColdFront, client: openai.OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello"}]
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    made = client.chat.completions.create(model="tiny", messages=messages, store=True, metadata={"made": "here"})
    assert client.chat.completions.retrieve(made.id).choices == made.choices
    assert [found.id for found in client.chat.completions.list(metadata={"made": "here"})] == [made.id]
    listed = client.chat.completions.messages.list(made.id).data
    assert [(one.role, one.content, one.content_parts is None) for one in listed] == [
        ("system", "Be brief.", True),
        ("user", None, False),
    ]
    unstored = client.chat.completions.create(model="tiny", messages=messages)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(unstored.id)
