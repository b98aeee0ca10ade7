"""SIGKILL of a front in the middle of a stream: the conversation goes on at the other front, over every store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.checker.conftest import SETTINGS
from tests.checker.witness import text_of
from tests.support.script import Script
from tests.support.state_world import STORES, StateWorld

HELLO = "Hello, world"


@pytest.fixture(scope="module", params=list(STORES))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateWorld]:
    with StateWorld(tmp_path_factory.mktemp(request.param) / "world", request.param, settings=SETTINGS) as world:
        yield world
        assert not any("Traceback" in front.stderr for front in world.fronts)


@pytest.fixture
def world(running: StateWorld) -> StateWorld:
    if running.fronts[0].process.poll() is not None:
        running.restart(0)
    running.engine.reset()
    return running


def shown(world: StateWorld) -> list[str]:
    """The texts that the engine was shown last."""
    body = world.engine.seen[-1].body
    given = body.get("messages", body.get("input"))
    return [given] if isinstance(given, str) else [text_of(item["content"]) for item in given]


def kill_mid_stream(world: StateWorld, stream: Any) -> None:
    """Read a stream until its first text, kill front 0, and see the stream break."""

    def read() -> None:
        for event in stream:
            if getattr(event, "type", "response.output_text.delta") == "response.output_text.delta":
                world.kill(0)

    with pytest.raises(openai.APIConnectionError):
        read()


def test_a_conversation_with_the_openai_client(world: StateWorld) -> None:
    one, other = world.client(0), world.client(1)
    conversation = one.conversations.create(metadata={"topic": "tides"})
    one.responses.create(model="tiny", input="first", conversation=conversation.id)
    world.engine.next(Script(fault="hang", at=5))
    kill_mid_stream(world, one.responses.create(model="tiny", input="cut", conversation=conversation.id, stream=True))
    answer = other.responses.create(model="tiny", input="second", conversation=conversation.id)
    assert answer.output_text == HELLO
    assert shown(world) == ["first", HELLO, "second"]
    items = other.conversations.items.list(conversation.id, order="asc").data
    assert [text_of(item.model_dump()["content"]) for item in items] == ["first", HELLO, "second", HELLO]
    assert other.conversations.retrieve(conversation.id).metadata == {"topic": "tides"}
    world.restart(0)
    one.responses.create(model="tiny", input="third", conversation=conversation.id)
    assert shown(world) == ["first", HELLO, "second", HELLO, "third"]


def test_previous_response_id_with_the_openai_client(world: StateWorld) -> None:
    one, other = world.client(0), world.client(1)
    first = one.responses.create(model="tiny", input="first")
    second = one.responses.create(model="tiny", input="second", previous_response_id=first.id)
    world.engine.next(Script(fault="hang", at=5))
    kill_mid_stream(world, one.responses.create(model="tiny", input="cut", previous_response_id=second.id, stream=True))
    other.responses.create(model="tiny", input="third", previous_response_id=second.id)
    assert shown(world) == ["first", HELLO, "second", HELLO, "third"]
    assert other.responses.retrieve(first.id).output_text == HELLO


def test_a_chat_by_session_id_with_the_openai_client(world: StateWorld) -> None:
    one, other = world.client(0), world.client(1)

    def say(client: openai.OpenAI, text: str, *, stream: bool = False) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return client.chat.completions.create(
            model="tiny", messages=messages, stream=stream, extra_body={"session_id": "s1"}
        )

    say(one, "first")
    world.engine.next(Script(fault="hang", at=2))
    kill_mid_stream(world, say(one, "cut", stream=True))
    assert say(other, "second").choices[0].message.content == HELLO
    assert shown(world) == ["first", HELLO, "second"]
