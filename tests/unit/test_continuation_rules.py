"""Which requests may go on at another engine: what is in no table may not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from serving.front.continuation.rules import CARRIED, may_continue
from serving.front.dialect import CHAT, COMPLETIONS, MESSAGES, RESPONSE, Route
from serving.front.wire import Arrived, GenerationRequest, read
from serving.settings import LimitSettings

BODIES: dict[str, dict[str, Any]] = {
    CHAT.path: {"messages": [{"role": "user", "content": "Hello"}]},
    COMPLETIONS.path: {"prompt": "Hello"},
    MESSAGES.path: {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
    RESPONSE.path: {"input": "Hello"},
}
SAFE: dict[str, list[Any]] = {
    "allowed_token_ids": [[1, 2]],
    "bad_words": [[], None],
    "frequency_penalty": [0, 0.0],
    "ignore_eos": [True],
    "logit_bias": [{"5": 1}],
    "logprobs": [False, None],
    "max_tokens": [5],
    "min_p": [0.1],
    "min_tokens": [0],
    "n": [1],
    "presence_penalty": [0],
    "repetition_penalty": [1.2],
    "response_format": [{"type": "text"}],
    "return_token_ids": [False],
    "seed": [None],
    "skip_special_tokens": [False],
    "stop": [[], None],
    "stop_token_ids": [[3]],
    "stream_options": [{"include_usage": True}, {}],
    "temperature": [0, 0.7],
    "top_k": [3],
    "top_p": [0.5],
    "truncate_prompt_tokens": [9],
    "user": ["me"],
}
SAFE_CHAT: dict[str, list[Any]] = {
    "include_reasoning": [True, None],
    "max_completion_tokens": [5],
    "parallel_tool_calls": [True],
    "reasoning_effort": ["low"],
    "tool_choice": ["none"],
    "tools": [[], None],
    "top_logprobs": [0],
    "messages": [[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, {"role": "user"}]],
}
UNSAFE: dict[str, list[Any]] = {
    "bad_words": [["x"]],
    "frequency_penalty": [0.1, -1],
    "include_stop_str_in_output": [True],
    "length_penalty": [1.0],
    "min_tokens": [1],
    "n": [2],
    "presence_penalty": [0.1, -0.1],
    "prompt_logprobs": [1],
    "repetition_detection": [{}],
    "response_format": [{"type": "json_object"}, {"type": "json_schema", "json_schema": {}}],
    "return_token_ids": [True],
    "return_tokens_as_token_ids": [True],
    "seed": [7, 0],
    "stop": ["x", ["x"]],
    "stream_options": [{"include_usage": True, "continuous_usage_stats": True}],
    "structured_outputs": [{"regex": "x"}],
    "thinking_token_budget": [5],
    "use_beam_search": [True],
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
UNSAFE_CHAT: dict[str, list[Any]] = {
    "echo": [True],
    "include_reasoning": [False],
    "logprobs": [True],
    "messages": [[{"role": "user", "content": [IMAGE]}], [{"role": "user", "content": [{"type": "text"}, IMAGE]}]],
    "tool_choice": ["auto", "required", {"type": "function", "function": {"name": "look"}}],
    "tools": [[TOOL]],
    "top_logprobs": [1],
}
UNSAFE_COMPLETIONS: dict[str, list[Any]] = {
    "best_of": [2],
    "echo": [True],
    "logprobs": [1],
    "prompt": [["a", "b"], [[1, 2]]],
    "suffix": ["x"],
}


def asked(route: Route, fields: dict[str, Any], limits: LimitSettings | None = None) -> GenerationRequest:
    body = {"model": "tiny", "stream": True, **BODIES[route.path], **fields}
    return read(Arrived("id", 0.0, route, {}, orjson.dumps(body)), limits or LimitSettings())


def cases(*tables: tuple[Route, dict[str, list[Any]]]) -> pytest.MarkDecorator:
    rows = [
        pytest.param(route, name, given, id=f"{route.path.rsplit('/', 1)[-1]}, {name} {orjson.dumps(given).decode()}")
        for route, table in tables
        for name, values in table.items()
        for given in values
    ]
    return pytest.mark.parametrize(("route", "name", "given"), rows)


@cases((CHAT, SAFE), (COMPLETIONS, SAFE), (CHAT, SAFE_CHAT), (COMPLETIONS, {"prompt": [["a"], [1, 2], "a"]}))
def test_what_is_safe(route: Route, name: str, given: Any) -> None:
    assert may_continue(asked(route, {name: given}))


@cases((CHAT, UNSAFE), (COMPLETIONS, UNSAFE), (CHAT, UNSAFE_CHAT), (COMPLETIONS, UNSAFE_COMPLETIONS))
def test_what_is_not_safe(route: Route, name: str, given: Any) -> None:
    assert not may_continue(asked(route, {name: given}))


@pytest.mark.parametrize("temperature", [0, 0.0])
def test_a_seed_says_nothing_where_nothing_is_drawn(temperature: float) -> None:
    assert may_continue(asked(CHAT, {"seed": 7, "temperature": temperature}))
    assert not may_continue(asked(CHAT, {"seed": 7, "temperature": 0.1}))


def test_a_field_that_this_front_lets_through_is_not_safe() -> None:
    limits = LimitSettings(allow_chat_template=True, extra_fields=("watermarking",))
    for fields in ({"chat_template": "x"}, {"chat_template_kwargs": {}}, {"watermarking": True}):
        assert not may_continue(asked(CHAT, fields, limits))


@pytest.mark.parametrize("route", [MESSAGES, RESPONSE], ids=lambda route: route.path)
def test_no_other_route_goes_on(route: Route) -> None:
    assert not may_continue(asked(route, {}))


@pytest.mark.parametrize("route", [CHAT, COMPLETIONS], ids=lambda route: route.path)
def test_what_is_no_stream_does_not_go_on(route: Route) -> None:
    assert may_continue(asked(route, {}))
    assert not may_continue(asked(route, {"stream": False}))


def test_a_completion_takes_everything_that_is_carried() -> None:
    assert COMPLETIONS.fields.keys() >= CARRIED
