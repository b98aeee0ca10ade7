"""Answers as vLLM puts them on the wire become objects and items, also when they break off anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.front.dialect import CHAT, RESPONSE
from serving.front.events import Usage
from serving.front.state import transcript
from tests.support import vllm_wire
from tests.support.vllm_wire import Answer, data, named

WORDS = ['He said "hi"', ' \\ {"a":', "}],", '"},"logprobs', "\n\ndata: x", " äöü 漢字 🌊", "", ' \\"']
HI = Answer("chatcmpl-1", "m", WORDS)
REQUEST = {"stream_options": {"include_usage": True}}


def chat(answer: Answer = HI, **request: Any) -> bytes:
    return b"".join(vllm_wire.chat_events(answer, {**REQUEST, **request}))


def response(answer: Answer = HI) -> bytes:
    return b"".join(vllm_wire.response_events(answer, {}))


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **choice: Any) -> bytes:
    said = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **choice}
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [said]})


def call(index: int, name: str | None, arguments: str, call_id: str | None = None) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": index, "function": function, **({"id": call_id} if call_id else {})}]}


def test_a_streamed_chat_answer_is_the_completion_that_is_not_streamed() -> None:
    streamed = transcript.read(CHAT, chat(), stream=True)
    whole = transcript.read(CHAT, vllm_wire.chat_json(HI, {}), stream=False)
    assert streamed.items == whole.items == [{"role": "assistant", "content": "".join(WORDS)}]
    assert streamed.status == whole.status == "complete"
    assert streamed.usage == whole.usage == Usage(vllm_wire.PROMPT_TOKENS, len(WORDS))
    for name in ("id", "object", "created", "model", "system_fingerprint"):
        assert streamed.object[name] == whole.object[name]
    assert streamed.object["choices"][0]["finish_reason"] == "stop"


@given(st.lists(st.text() | st.sampled_from(WORDS), max_size=30), st.integers(1, 3))
def test_any_text_in_any_pieces_is_read_as_it_was_said(tokens: list[str], choices: int) -> None:
    answer = transcript.read(CHAT, chat(Answer("c", "m", tokens), n=choices), stream=True)
    said = [choice["message"]["content"] for choice in answer.object["choices"]]
    assert said == ["".join(tokens)] * choices


@given(st.integers(0, len(chat())))
def test_a_chat_stream_torn_anywhere_gives_what_was_delivered(at: int) -> None:
    answer = transcript.read(CHAT, chat()[:at], stream=True)
    said = answer.items[0]["content"] if answer.items else ""
    assert "".join(WORDS).startswith(said)
    end = chat().index(b"\n\n", chat().index(b'"finish_reason":"stop"'))
    assert answer.status == ("complete" if at >= end else "incomplete")


@given(st.integers(0, len(response())))
def test_a_response_stream_torn_anywhere_gives_what_was_delivered(at: int) -> None:
    answer = transcript.read(RESPONSE, response()[:at], stream=True)
    said = answer.items[0]["content"][0]["text"] if answer.items else ""
    assert "".join(WORDS).startswith(said)
    assert answer.status == answer.object["status"].replace("completed", "complete")


def test_a_streamed_response_is_the_one_of_its_last_event() -> None:
    answer = transcript.read(RESPONSE, response(), stream=True)
    assert answer.object["id"] == HI.id
    assert answer.items == answer.object["output"]
    assert answer.items[0]["content"][0]["text"] == "".join(WORDS)
    assert answer.usage == Usage(vllm_wire.PROMPT_TOKENS, len(WORDS))


def test_a_response_that_is_not_streamed_gives_its_output() -> None:
    answer = transcript.read(RESPONSE, vllm_wire.response_json(HI, {}), stream=False)
    assert (answer.status, answer.items) == ("complete", answer.object["output"])


def test_a_response_at_its_output_bound_is_an_answer_that_ended() -> None:
    body = response().replace(b"response.completed", b"response.incomplete")
    assert transcript.read(RESPONSE, body, stream=True).status == "complete"


def test_the_name_of_the_last_event_inside_another_is_no_end() -> None:
    body = response(Answer("r", "m", ["a"])).replace(b'"tools":[]', b'"tools":[],"metadata":{"a":"response.completed"}')
    assert transcript.read(RESPONSE, body, stream=True).status == "complete"
    answer = transcript.read(RESPONSE, body[: body.rindex(b"event: response.completed")], stream=True)
    assert (answer.status, answer.items[0]["status"]) == ("incomplete", "completed")


def test_a_response_that_failed_keeps_what_was_said_before() -> None:
    whole = response().decode()
    failed = named("response.failed", {"type": "response.failed", "response": {"id": "r", "status": "failed"}})
    answer = transcript.read(RESPONSE, whole[: whole.index("event: response.completed")].encode() + failed, stream=True)
    assert (answer.status, answer.object["status"]) == ("incomplete", "failed")
    assert answer.items[0]["content"][0]["text"] == "".join(WORDS)


def test_line_ends_of_another_kind_and_heartbeats_change_nothing() -> None:
    for route, body in ((CHAT, chat()), (RESPONSE, response())):
        other = b": heartbeat\r\n\r\n" + body.replace(b"\n", b"\r\n")
        assert transcript.read(route, other, stream=True) == transcript.read(route, body, stream=True)


def test_reasoning_is_kept_beside_the_answer() -> None:
    thoughts = [chunk({"reasoning": word}) for word in ("I ", "think", ".")]
    body = b"".join([chunk({"role": "assistant", "content": ""}), *thoughts, chunk({"content": "So."}, "stop")])
    (message,) = transcript.read(CHAT, body, stream=True).items
    assert message == {"role": "assistant", "content": "So.", "reasoning": "I think."}


CALLS = [
    chunk({"role": "assistant", "content": ""}),
    chunk(call(0, "look", "", "c1")),
    chunk(call(0, None, '{"a":')),
    chunk(call(0, None, "1}")),
    chunk(call(1, "see", '{"b"', "c2")),
    chunk(call(1, None, ":2}")),
    chunk({}, "tool_calls"),
]


def test_tool_calls_are_put_together_by_their_index() -> None:
    (message,) = transcript.read(CHAT, b"".join(CALLS), stream=True).items
    assert message == {
        "role": "assistant",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "see", "arguments": '{"b":2}'}},
        ],
    }


@pytest.mark.parametrize(("events", "names"), [(5, ["look"]), (6, ["look", "see"]), (3, [])])
def test_a_call_that_broke_off_in_its_arguments_is_left_out(events: int, names: list[str]) -> None:
    answer = transcript.read(CHAT, b"".join(CALLS[:events]), stream=True)
    assert answer.status == "incomplete"
    assert [call["function"]["name"] for item in answer.items for call in item["tool_calls"]] == names


def test_a_call_of_a_response_that_broke_off_in_its_arguments_is_left_out() -> None:
    def events(*pieces: str) -> bytes:
        item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": ""}
        added = {"type": "response.output_item.added", "output_index": 0, "item": item}
        kind = "response.function_call_arguments.delta"
        deltas = [{"type": kind, "output_index": 0, "item_id": "fc_1", "delta": piece} for piece in pieces]
        return b"".join(named(event["type"], event) for event in (added, *deltas))

    assert transcript.read(RESPONSE, events('{"a"'), stream=True).items == []
    (item,) = transcript.read(RESPONSE, events('{"a"', ":1}"), stream=True).items
    assert (item["arguments"], item["call_id"]) == ('{"a":1}', "c1")


def test_an_item_that_is_done_is_kept_when_the_next_one_breaks_off() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}
    done = named("x", {"type": "response.output_item.done", "output_index": 0, "item": thought})
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    added = named("x", {"type": "response.output_item.added", "output_index": 1, "item": item})
    delta = {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "So"}
    answer = transcript.read(RESPONSE, done + added + named("x", delta), stream=True)
    assert answer.items[0] == thought
    assert (answer.items[1]["status"], answer.items[1]["content"][0]["text"]) == ("incomplete", "So")


def test_log_probabilities_follow_each_other() -> None:
    chunks = [chunk({"content": word}, logprobs={"content": [{"token": word}]}) for word in "abc"]
    answer = transcript.read(CHAT, b"".join([*chunks, chunk({}, "stop")]), stream=True)
    assert [entry["token"] for entry in answer.object["choices"][0]["logprobs"]["content"]] == ["a", "b", "c"]


def test_chunks_that_say_more_than_the_one_before_are_read_whole() -> None:
    """The second differs from the first between the same first and last bytes."""
    first, second = chunk({"content": "a"}), chunk({"content": "b", "reasoning": "c"})
    body = first + second + chunk({"content": "d"}) + chunk({"content": ""}, "stop")
    (message,) = transcript.read(CHAT, body, stream=True).items
    assert (message["content"], message["reasoning"]) == ("abd", "c")


def test_fields_after_the_text_that_differ_are_read_whole() -> None:
    chunks = [chunk({"content": word}, extra={"a": word}, more=word) for word in "abc"]
    answer = transcript.read(CHAT, b"".join([*chunks, chunk({}, "stop")]), stream=True)
    assert answer.items[0]["content"] == "abc"
    assert answer.object["choices"][0]["more"] == "c"


def test_an_engine_that_dies_in_the_middle_leaves_an_incomplete_answer() -> None:
    body = chunk({"role": "assistant", "content": ""}) + chunk({"content": "a"}) + vllm_wire.error_event()
    answer = transcript.read(CHAT, body + vllm_wire.DONE, stream=True)
    assert (answer.status, answer.items) == ("incomplete", [{"role": "assistant", "content": "a"}])


@pytest.mark.parametrize("body", [b"", b": heartbeat\n\n", chunk({"role": "assistant", "content": ""}), b"data: {\n\n"])
def test_a_stream_that_says_nothing_adds_no_item(body: bytes) -> None:
    for route in (CHAT, RESPONSE):
        answer = transcript.read(route, body, stream=True)
        assert (answer.items, answer.status) == ([], "incomplete")


def test_an_empty_answer_that_ended_is_an_item() -> None:
    answer = transcript.read(CHAT, chat(Answer("c", "m", [])), stream=True)
    assert answer.items == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"a":', b"\xff"])
def test_a_whole_answer_that_is_no_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        transcript.read(CHAT, body, stream=False)


def test_numbers_that_an_engine_repeats_with_each_chunk_are_the_last_ones() -> None:
    body = chat(stream_options={"include_usage": True, "continuous_usage_stats": True})
    answer = transcript.read(CHAT, body, stream=True)
    assert answer.items[0]["content"] == "".join(WORDS)
    assert answer.usage == Usage(vllm_wire.PROMPT_TOKENS, len(WORDS))


def test_events_of_another_spelling_are_read_as_well() -> None:
    """Other servers put spaces into their JSON."""
    body = b"".join(
        b"data: %b\n\n" % json.dumps(json.loads(event[6:])).encode()
        for event in chat().split(b"\n\n")
        if event.startswith(b"data: {")
    )
    assert transcript.read(CHAT, body, stream=True).items == [{"role": "assistant", "content": "".join(WORDS)}]
