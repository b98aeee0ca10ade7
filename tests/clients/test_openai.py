"""The `openai` Python client, unchanged."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.clients.conftest import Door
from tests.support import vllm_wire
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(door: Door) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key, max_retries=0)


@pytest.fixture
def patient(door: Door) -> openai.OpenAI:
    """With the two retries that it makes by default."""
    return openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key)


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, temperature=0, max_tokens=20)
    assert answer.choices[0].message.content == "Hello, world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer._request_id


def test_chat_stream(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="tiny", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello, world"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_chat_stream_with_usage(client: openai.OpenAI) -> None:
    options = {"include_usage": True}
    *_, last = client.chat.completions.create(model="tiny", messages=HELLO, stream=True, stream_options=options)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


def test_chat_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="tiny", messages=HELLO) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == "Hello, world"


def test_completions(client: openai.OpenAI) -> None:
    assert client.completions.create(model="tiny", prompt="Hello").choices[0].text == "Hello, world"
    chunks = client.completions.create(model="tiny", prompt="Hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello, world"


def test_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="tiny", input=["a", "b"])
    assert [row.embedding for row in answer.data] == [[0.5, -0.5, 0.25]] * 2


def test_responses(client: openai.OpenAI) -> None:
    assert client.responses.create(model="tiny", input="Hello").output_text == "Hello, world"


def test_responses_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model="tiny", input="Hello") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "Hello, world"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"


def test_async_chat_and_stream(door: Door) -> None:
    async def talk() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{door.base_url}/v1", api_key=door.key) as client:
            answer = await client.chat.completions.create(model="tiny", messages=HELLO)
            stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return answer.choices[0].message.content, text

    assert asyncio.run(talk()) == ("Hello, world", "Hello, world")


def test_thirty_async_streams_at_once(door: Door) -> None:
    door.engine.script = Script(gap=0.02)

    async def talk(client: openai.AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{door.base_url}/v1", api_key=door.key) as client:
            return await asyncio.gather(*(talk(client) for _ in range(30)))

    assert asyncio.run(all_at_once()) == ["Hello, world"] * 30


def test_a_wrong_key_is_its_authentication_error(door: Door) -> None:
    client = openai.OpenAI(base_url=f"{door.base_url}/v1", api_key="wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="tiny", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id


def test_an_unknown_model_is_its_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="none", messages=HELLO)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_wrong_field_is_its_bad_request_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=HELLO, extra_body={"cache_salt": "mine"})
    assert caught.value.param == "cache_salt"
    assert caught.value.type == "invalid_request_error"


def test_the_engines_verdict_is_its_bad_request_error(client: openai.OpenAI, door: Door) -> None:
    door.engine.script = Script(status=400, body=vllm_wire.error_body(400, "too long", "BadRequestError", "messages"))
    with pytest.raises(openai.BadRequestError, match="too long"):
        client.chat.completions.create(model="tiny", messages=HELLO, stream=True)


def test_a_dead_engine_is_its_internal_server_error(client: openai.OpenAI, door: Door) -> None:
    door.engine.script = Script(fault="rst", at=BEFORE_HEAD)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="tiny", messages=HELLO)


def test_its_own_retries_reach_an_engine_that_is_back(patient: openai.OpenAI, door: Door) -> None:
    door.engine.next(Script(status=503, body=b""))
    answer = patient.chat.completions.create(model="tiny", messages=HELLO)
    assert answer.choices[0].message.content == "Hello, world"


def test_a_broken_stream_raises(client: openai.OpenAI, door: Door) -> None:
    door.engine.script = Script(("a",) * 9, fault="fin", at=4)
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_the_engines_error_event_raises(client: openai.OpenAI, door: Door) -> None:
    door.engine.script = Script(("a",) * 9, fault="error_event", at=4)
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="tiny", messages=HELLO, stream=True))


def test_closing_a_stream_early_frees_the_engine(client: openai.OpenAI, door: Door) -> None:
    door.engine.script = Script(fault="hang", at=2)
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    eventually(lambda: door.engine.in_flight == 0, within=1, what="engine free")
