"""Requests that never reach an engine: which, with what status, and the parameter they name."""

from __future__ import annotations

from typing import Any

import pytest

from serving.front.keys import mint
from tests.support.world import CHAT, COMPLETIONS, EMBEDDINGS, HELLO, RESPONSES, World, chat_body


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def wrong_last_character(key: str) -> str:
    return key[:-1] + ("a" if key[-1] != "a" else "b")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES])
@pytest.mark.parametrize("key", [None, "wrong", "sk-1234", "", mint(), wrong_last_character(mint())])
def test_without_a_good_key_it_is_401(solo: World, path: str, key: str | None) -> None:
    answer = solo.ask(path, chat_body(), key=key)
    assert answer.status == 401
    assert (answer.error["type"], answer.error["code"]) == ("authentication_error", "invalid_api_key")
    assert key is None or len(key) < 8 or key not in answer.body.decode()


@pytest.mark.parametrize(
    "header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "token", "Bearer a b", "Bearer \xff\xfe"]
)
def test_an_odd_authorization_header_is_401(solo: World, header: str) -> None:
    assert solo.ask(CHAT, chat_body(), key=None, headers={"Authorization": header}).status == 401


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"{'a': 1}",
        b'{"model": "tiny", }',
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_a_body_that_is_no_json_object_is_400(solo: World, raw: bytes) -> None:
    answer = solo.ask(CHAT, raw)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": None}, "messages"),
    "empty messages": ({"messages": []}, "messages"),
    "messages as text": ({"messages": "Hello"}, "messages"),
    "message as text": ({"messages": ["Hello"]}, "messages[0]"),
    "message without role": ({"messages": [{"content": "x"}]}, "messages[0]"),
    "content as number": ({"messages": [*HELLO, {"role": "user", "content": 5}]}, "messages[1].content"),
    "too many messages": ({"messages": HELLO * 2049}, "messages"),
    "no model": ({"model": None}, "model"),
    "model as number": ({"model": 5}, "model"),
    "empty model": ({"model": ""}, "model"),
    "stream as text": ({"stream": "yes"}, "stream"),
    "stream_options as list": ({"stream_options": []}, "stream_options"),
    "temperature as text": ({"temperature": "hot"}, "temperature"),
    "temperature too high": ({"temperature": 3}, "temperature"),
    "temperature as bool": ({"temperature": True}, "temperature"),
    "top_p too high": ({"top_p": 1.5}, "top_p"),
    "max_tokens zero": ({"max_tokens": 0}, "max_tokens"),
    "max_tokens negative": ({"max_tokens": -1}, "max_tokens"),
    "max_tokens as float": ({"max_tokens": 1.5}, "max_tokens"),
    "max_tokens huge": ({"max_tokens": 10**9}, "max_tokens"),
    "max_completion_tokens as text": ({"max_completion_tokens": "9"}, "max_completion_tokens"),
    "n too big": ({"n": 9}, "n"),
    "n huge": ({"n": 10**30}, "n"),
    "n zero": ({"n": 0}, "n"),
    "too many stops": ({"stop": ["x"] * 17}, "stop"),
    "stop as number": ({"stop": 5}, "stop"),
    "too many logprobs": ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    "logit_bias as list": ({"logit_bias": []}, "logit_bias"),
    "logit_bias too large": ({"logit_bias": {str(token): 1 for token in range(301)}}, "logit_bias"),
    "too many tools": ({"tools": [{"type": "function", "function": {"name": "f"}}] * 129}, "tools"),
    "seed too large": ({"seed": 2**70}, "seed"),
    "unknown field": ({"bogus": 1}, "bogus"),
    "cache_salt": ({"cache_salt": "mine"}, "cache_salt"),
    "priority": ({"priority": -10}, "priority"),
    "request_id": ({"request_id": "mine"}, "request_id"),
    "kv_transfer_params": ({"kv_transfer_params": {}}, "kv_transfer_params"),
    "prompt_embeds": ({"prompt_embeds": "AAAA"}, "prompt_embeds"),
    "chat_template": ({"chat_template": "{{ 1 }}"}, "chat_template"),
    "chat_template_kwargs": ({"chat_template_kwargs": {}}, "chat_template_kwargs"),
    "http image": ({"messages": image("http://10.0.0.1/x.png")}, "messages[0].content[0]"),
    "https image": ({"messages": image("https://example.com/x.png")}, "messages[0].content[0]"),
    "file image": ({"messages": image("file:///etc/passwd")}, "messages[0].content[0]"),
    "image in capitals": ({"messages": image("HTTPS://example.com/x.png")}, "messages[0].content[0]"),
    "image that is no URL": ({"messages": image("http://[x")}, "messages[0].content[0]"),
    "image after a space": ({"messages": image(" https://example.com/x.png")}, "messages[0].content[0]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_400_and_named(solo: World, case: str) -> None:
    fields, param = WRONG[case]
    body = {name: value for name, value in chat_body(**fields).items() if value is not None}
    answer = solo.ask(CHAT, body)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"].startswith(param)
    assert not solo.engine.seen


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (COMPLETIONS, {"model": "tiny"}, "prompt"),
        (COMPLETIONS, {"model": "tiny", "prompt": ["x"] * 129}, "prompt"),
        (COMPLETIONS, {"model": "tiny", "prompt": 5}, "prompt"),
        (COMPLETIONS, {"model": "tiny", "prompt": "x", "best_of": 99}, "best_of"),
        (EMBEDDINGS, {"model": "tiny"}, "input"),
        (EMBEDDINGS, {"model": "tiny", "input": ["x"] * 129}, "input"),
        (EMBEDDINGS, {"model": "tiny", "input": "x", "bogus": 1}, "bogus"),
        (RESPONSES, {"model": "tiny"}, "input"),
        (RESPONSES, {"model": "tiny", "input": "x", "max_output_tokens": "9"}, "max_output_tokens"),
        (RESPONSES, {"model": "tiny", "input": "x", "cache_salt": "mine"}, "cache_salt"),
    ],
)
def test_each_route_checks_its_own_fields(solo: World, path: str, fields: dict[str, Any], param: str) -> None:
    answer = solo.ask(path, fields)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_a_body_nested_too_deep_is_400(solo: World) -> None:
    assert solo.say(stream=False, response_format=deep(80)).error["code"] == "too_deep"
    assert solo.say(stream=False, response_format={"a": deep(20)}).status == 200


def test_a_data_url_is_no_address(solo: World) -> None:
    assert solo.say(messages=image("data:image/png;base64,AAAA")).status == 200


def test_a_null_field_counts_as_absent(solo: World) -> None:
    answer = solo.say(temperature=None, max_tokens=None, stop=None, n=None, stream_options=None, tools=None)
    assert answer.text == "Hello, world"


@pytest.mark.parametrize("field", ["metadata", "prompt_cache_key", "safety_identifier", "service_tier", "verbosity"])
def test_what_openai_knows_and_an_engine_does_not_is_accepted(solo: World, field: str) -> None:
    value = {"a": "b"} if field == "metadata" else "low"
    assert solo.say(**{field: value}).text == "Hello, world"


def test_a_refusal_tells_nothing_internal(solo: World) -> None:
    for body in (b"{", {"model": "none", "messages": HELLO}, {"model": "tiny", "bogus": 1}):
        text = solo.ask(CHAT, body).body.decode()
        assert str(solo.engine.port) not in text
        assert "Traceback" not in text
        assert "serving" not in text
