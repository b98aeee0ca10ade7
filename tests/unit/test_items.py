"""Items in both formats: what an engine gets, what a client lists, and what is refused."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from openai.types.conversations import ConversationItem
from pydantic import TypeAdapter

from serving.errors import InvalidRequest
from serving.front.dialect import Keeps
from serving.front.ids import minter
from serving.front.state import items
from serving.front.state.records import Format, Item, Status, Turn
from serving.settings import LimitSettings
from tests.support.tiers import require

LIMITS = LimitSettings()
PNG = "data:image/png;base64,iVBORw0KGgo="
Content = dict[str, Any]


def turn(form: Format, *contents: Content, status: Status = "complete") -> Turn:
    return Turn("t", 0, form, tuple(Item(f"m{at}", content) for at, content in enumerate(contents)), status)


def call(call_id: str, arguments: str = "{}") -> Content:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}}


def function_call(call_id: str, arguments: str = "{}") -> Content:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": arguments}


CHAT = turn(
    "chat",
    {"role": "system", "content": "Be kind."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}],
    },
    {"role": "assistant", "content": "I look.", "tool_calls": [call("c1"), call("c2", '{"a":1}')], "reasoning": "Hm."},
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
    {"role": "assistant", "content": None, "refusal": "No."},
    {"role": "assistant", "content": "Done."},
)
INPUT = [
    {"type": "message", "role": "system", "content": "Be kind."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "See"},
            {"type": "input_image", "image_url": PNG, "detail": "low"},
        ],
    },
    {"type": "message", "role": "assistant", "content": "I look."},
    function_call("c1"),
    function_call("c2", '{"a":1}'),
    {"type": "function_call_output", "call_id": "c1", "output": "one"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
    {"type": "message", "role": "assistant", "content": "No."},
    {"type": "message", "role": "assistant", "content": "Done."},
]
RESPONSE = turn(
    "response",
    *INPUT[:2],
    {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
    {
        "id": "msg_9",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": None}],
    },
    {"id": "fc_1", "status": "completed", **function_call("c1")},
    {"id": "fc_2", "status": "completed", **function_call("c2", '{"a":1}')},
    *INPUT[5:7],
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"type": "message", "role": "assistant", "content": "Done."},
)
CUSTOM = turn(
    "response",
    {"type": "message", "role": "user", "content": "Go"},
    {"type": "custom_tool_call", "call_id": "d1", "name": "run", "input": "ls"},
    {"type": "custom_tool_call_output", "call_id": "d1", "output": "a b"},
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
)
EVERY = [pytest.param(CHAT, id="chat"), pytest.param(RESPONSE, id="response"), pytest.param(CUSTOM, id="custom")]


def test_an_engine_gets_the_messages_of_a_chat_turn_as_they_were_without_reasoning() -> None:
    messages = items.as_messages(CHAT)
    assert "reasoning" not in messages[2]
    assert messages[:2] == [item.content for item in CHAT.items[:2]]
    assert messages[2] == {name: value for name, value in CHAT.items[2].content.items() if name != "reasoning"}


def test_a_chat_turn_becomes_input_of_a_response() -> None:
    assert items.as_input_items(CHAT) == INPUT


def test_a_turn_of_responses_is_sent_again_without_reasoning_and_ids() -> None:
    assert items.as_input_items(RESPONSE) == INPUT


def test_a_turn_of_responses_becomes_messages_of_a_chat() -> None:
    messages = items.as_messages(RESPONSE)
    assert messages == [
        CHAT.items[0].content,
        CHAT.items[1].content,
        {"role": "assistant", "content": "I look.", "tool_calls": [call("c1"), call("c2", '{"a":1}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "No."},
        {"role": "assistant", "content": "Done."},
    ]


def test_items_that_no_engine_takes_again_are_left_out_of_what_is_sent() -> None:
    assert [entry["type"] for entry in items.as_input_items(CUSTOM)] == [
        "message",
        "custom_tool_call",
        "custom_tool_call_output",
    ]


@pytest.mark.parametrize("stored", EVERY)
def test_what_clients_list_is_what_the_openai_client_reads(stored: Turn) -> None:
    listed = items.as_public_items(stored)
    for item in listed:
        read = TypeAdapter[Any](ConversationItem).validate_python(item, strict=False)
        assert (read.id, read.type, read.status) == (item["id"], item["type"], "completed")
    assert len({item["id"] for item in listed}) == len(listed)


def test_a_message_of_several_items_gives_each_its_own_lasting_id() -> None:
    listed = items.as_public_items(CHAT)
    ids = [item["id"] for item in listed]
    assert ids[:6] == ["m0", "m1", "m2_0", "m2_1", "m2_2", "m2_3"]
    assert [item["type"] for item in listed[2:6]] == ["reasoning", "message", "function_call", "function_call"]
    assert items.as_public_items(CHAT) == listed
    assert "m2" in items.stored_ids("m2_3")


def test_an_id_of_ours_is_looked_for_under_itself_first() -> None:
    item_id = minter()("msg")
    assert items.stored_ids(item_id) == (item_id,)
    assert items.stored_ids(f"{item_id}_12") == (f"{item_id}_12", item_id)


def test_text_is_listed_as_parts() -> None:
    stored = turn("chat", {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
    asked, said = (item["content"] for item in items.as_public_items(stored))
    assert asked == [{"type": "input_text", "text": "Hi"}]
    assert said == [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]


def test_what_an_engine_said_of_an_incomplete_turn_is_listed_as_incomplete() -> None:
    stored = turn(
        "chat", {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}, status="incomplete"
    )
    assert [item["status"] for item in items.as_public_items(stored)] == ["completed", "incomplete"]


def test_functions_of_the_old_kind_are_listed_as_calls_and_outputs() -> None:
    stored = turn(
        "chat",
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "one"},
    )
    assert [(item["type"], item["call_id"]) for item in items.as_public_items(stored)] == [
        ("function_call", "look"),
        ("function_call_output", "look"),
    ]


def test_a_string_is_one_message_of_the_user() -> None:
    (item,) = items.new_items("Hi", minter(), LIMITS)
    assert item.content == {"type": "message", "role": "user", "content": "Hi"}
    assert item.id.startswith("msg_")


def test_new_items_get_ids_of_ours_by_their_types() -> None:
    numbers = count()
    given = [{"role": "user", "content": "Hi", "id": "msg_theirs"}, function_call("c1")]
    made = items.new_items(given, lambda prefix: f"{prefix}_{next(numbers)}", LIMITS)
    assert [item.id for item in made] == ["msg_0", "fc_1"]
    assert [item.content for item in made] == [
        {"type": "message", "role": "user", "content": "Hi"},
        function_call("c1"),
    ]


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (3, "items"),
        ({"role": "user"}, "items"),
        (["Hi"], "items[0]"),
        ([{}], "items[0].type"),
        ([{"type": ["message"]}], "items[0].type"),
        ([{"type": "item_reference", "id": "m"}], "items[0].type"),
        (
            [{"type": "message", "role": "user", "content": "x"}] * 3 + [{"role": "robot", "content": "x"}],
            "items[3].role",
        ),
        ([{"role": ["user"], "content": "x"}], "items[0].role"),
        ([{"role": "user"}], "items[0].content"),
        ([{"role": "user", "content": 3}], "items[0].content"),
        ([{"role": "user", "content": ["x"]}], "items[0].content[0]"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "items[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "video"}]}], "items[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "items[0].content[0].image_url"),
        ([{**function_call("c"), "call_id": None}], "items[0].call_id"),
        ([{**function_call("c"), "arguments": {}}], "items[0].arguments"),
        ([{"type": "function_call_output", "call_id": "c"}], "items[0].output"),
        ([{"type": "custom_tool_call", "call_id": "c", "name": "run", "input": 1}], "items[0].input"),
        ([{"type": "reasoning", "summary": "x"}], "items[0].summary"),
        ([{"role": "user", "content": "x"}] * 10_000, "items"),
    ],
)
def test_a_wrong_item_is_refused_by_its_place(raw: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        items.new_items(raw, minter(), LIMITS)
    assert refused.value.param == param


def test_an_image_that_an_engine_would_fetch_is_refused() -> None:
    image = {"type": "input_image", "image_url": "http://10.0.0.1/secret"}
    with pytest.raises(InvalidRequest, match="data: URLs"):
        items.new_items([{"role": "user", "content": [image]}], minter(), LIMITS)


def test_input_of_a_response_is_checked_by_its_places_too() -> None:
    with pytest.raises(InvalidRequest) as refused:
        items.from_request(Keeps.RESPONSES, {"input": [{"role": "robot", "content": "x"}]}, minter())
    assert refused.value.param == "input[0].role"


def test_an_answer_keeps_the_ids_that_its_client_saw() -> None:
    answered = items.from_answer(Keeps.RESPONSES, [{"id": "fc_1", **function_call("c1")}], minter())
    assert [item.id for item in answered] == ["fc_1"]


def test_an_image_costs_the_same_whatever_its_bytes() -> None:
    def costs(url: str) -> int:
        parts = [{"type": "text", "text": "x" * 400}, {"type": "image_url", "image_url": {"url": url}}]
        return items.tokens_of({"role": "user", "content": parts})

    assert costs(PNG) == costs(PNG * 10_000)
    assert 1100 <= costs(PNG) < 1150
    assert 100 <= items.tokens_of({"role": "user", "content": "x" * 400}) < 120


@pytest.mark.engine
@pytest.mark.parametrize("stored", EVERY)
def test_vllm_makes_the_same_messages_of_the_input_items(stored: Turn) -> None:
    """vLLM's own models accept what is sent, and its own code turns it into the messages that a chat would send."""
    try:
        from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
        from vllm.entrypoints.openai.responses.utils import construct_input_messages
    except ImportError:
        require("vLLM", found=False)
    request = ResponsesRequest.model_validate({"model": "m", "input": items.as_input_items(stored)})
    made = [_as_chat(message) for message in construct_input_messages(request_input=request.input)]
    as_response = turn("response", *items.as_input_items(stored))
    assert made == items.as_messages(as_response)


def _as_chat(message: Content) -> Content:
    """vLLM leaves parts and `type` as they came in; its chat code reads both spellings."""
    kept = {name: value for name, value in message.items() if name != "type"}
    content = kept.get("content")
    if isinstance(content, list):
        kept["content"] = [_part(part) for part in content]
    return kept


def _part(part: Content) -> Content:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}
    return {"type": "text", "text": part["text"]}
