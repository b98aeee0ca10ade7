"""The `anthropic` Python client, unchanged."""

from __future__ import annotations

import asyncio

import anthropic
import pytest
from anthropic.types import MessageParam

from tests.clients.conftest import Door
from tests.support.script import Script

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(door: Door) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=door.base_url, api_key=door.key, max_retries=0)


def test_messages(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="tiny", max_tokens=20, messages=HELLO, system="Be brief.")
    assert answer.content[0].text == "Hello, world"
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 3)


def test_messages_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="tiny", max_tokens=20, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Hello, world"
        assert stream.get_final_message().usage.output_tokens == 3


def test_messages_stream_of_raw_events(client: anthropic.Anthropic) -> None:
    events = client.messages.create(model="tiny", max_tokens=20, messages=HELLO, stream=True)
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_async_messages_and_stream(door: Door) -> None:
    async def talk() -> tuple[str, str]:
        async with anthropic.AsyncAnthropic(base_url=door.base_url, api_key=door.key) as client:
            answer = await client.messages.create(model="tiny", max_tokens=20, messages=HELLO)
            async with client.messages.stream(model="tiny", max_tokens=20, messages=HELLO) as stream:
                text = "".join([piece async for piece in stream.text_stream])
            return answer.content[0].text, text

    assert asyncio.run(talk()) == ("Hello, world", "Hello, world")


def test_a_wrong_key_is_its_authentication_error(door: Door) -> None:
    client = anthropic.Anthropic(base_url=door.base_url, api_key="wrong")
    with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
        client.messages.create(model="tiny", max_tokens=20, messages=HELLO)


def test_an_unknown_model_is_its_not_found_error(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="none", max_tokens=20, messages=HELLO)


def test_a_wrong_field_is_its_bad_request_error(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="cache_salt"):
        client.messages.create(model="tiny", max_tokens=20, messages=HELLO, extra_body={"cache_salt": "mine"})


def test_a_broken_stream_raises(client: anthropic.Anthropic, door: Door) -> None:
    door.engine.script = Script(("a",) * 9, fault="fin", at=5)
    with pytest.raises(anthropic.APIError):
        list(client.messages.create(model="tiny", max_tokens=20, messages=HELLO, stream=True))
