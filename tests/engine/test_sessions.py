"""Sessions over a real vLLM: the shapes that the openai client gets, and what the history's blocks save the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.engine.cell_process import CellProcess
from tests.support.front_process import Front
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(400)

WINDOW, TURNS = 8, 24
# About 100 tokens: a window of turns is several of vLLM's blocks long.
QUESTION = "turn {number} of {name}: " + "the harbour master asks when the gate opens for the barge " * 3


@pytest.fixture(scope="module")
def fronts(engine_cell: CellProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OpenAI]]:
    """Clients of two fronts over one cell, one SQLite file and one Redis."""
    folder = tmp_path_factory.mktemp("state")
    with RedisServer(folder) as redis:
        settings = {"front.store": f"sqlite:///{folder}/store.db", "front.redis": redis.url}
        started = [front(engine_cell, settings, folder) for _ in range(2)]
        yield [OpenAI(base_url=f"{one.base_url}/v1", api_key=KEY, max_retries=0) for one in started]
        for one in started:
            one.kill()


KEY = "engine-tests-0c4b8f2a97d1"


def front(cell: CellProcess, settings: dict[str, Any], folder: Path) -> Front:
    return Front([cell.url], settings, [{"name": "tests", "key": KEY}], folder).start()


def test_a_chat_session_goes_on_at_the_other_front(fronts: list[OpenAI]) -> None:
    first = chat(fronts[0], "chat-1", "Hello there, harbour master")
    second = chat(fronts[1], "chat-1", "And now?")
    assert second.usage.prompt_tokens > first.usage.total_tokens


def test_a_conversation_of_responses_streams_and_is_listed(fronts: list[OpenAI]) -> None:
    a, b = fronts
    conversation = a.conversations.create()
    first = a.responses.create(model="tiny", input="Hello", conversation=conversation.id, max_output_tokens=8)
    with b.responses.stream(model="tiny", input="Again", conversation=conversation.id, max_output_tokens=8) as stream:
        for _ in stream:
            pass
        second = stream.get_final_response()
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens
    roles = [getattr(item, "role", item.type) for item in a.conversations.items.list(conversation.id, order="asc")]
    assert [role for role in roles if role in ("user", "assistant")] == ["user", "assistant"] * 2
    assert b.responses.retrieve(first.id).output_text == first.output_text


def test_a_response_continues_a_response_and_one_in_the_background_is_resumed(fronts: list[OpenAI]) -> None:
    a, b = fronts
    first = a.responses.create(model="tiny", input="Hello", max_output_tokens=8)
    asked: dict[str, Any] = {"model": "tiny", "previous_response_id": first.id, "max_output_tokens": 12}
    events = list(a.responses.create(input="Go on", background=True, stream=True, **asked))
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events)))
    response_id = events[0].response.id  # type: ignore[union-attr]
    resumed = list(b.responses.retrieve(response_id, stream=True, starting_after=2))
    assert [event.sequence_number for event in resumed] == numbers[3:]
    assert b.responses.retrieve(response_id).status in ("completed", "incomplete")


def test_a_window_that_moves_in_blocks_keeps_the_prefix_cache_hitting(
    fronts: list[OpenAI], record_property: Callable[[str, object], None]
) -> None:
    """Beside a client that drops its oldest turn with every turn; both see at most as many turns."""
    by_one = by_block = 0
    messages: list[dict[str, str]] = []
    window = {"strategy": "window", "turns": WINDOW}
    for number in range(TURNS):
        by_block += cached(chat(fronts[0], "blocks", QUESTION.format(number=number, name="blocks"), history=window))
        messages.append({"role": "user", "content": QUESTION.format(number=number, name="by one")})
        answer = fronts[0].chat.completions.create(
            model="tiny",
            messages=messages[-2 * WINDOW - 1 :],
            max_tokens=8,
            temperature=0,  # type: ignore[arg-type]
        )
        by_one += cached(answer)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content or ""})
    record_property("prefix-cache hit tokens, by block and by one", (by_block, by_one))
    assert by_block > 2 * by_one


def chat(client: OpenAI, session: str, text: str, **fields: Any) -> Any:
    return client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": text}],
        max_tokens=8,
        temperature=0,
        extra_body={"session_id": session, **fields},
    )


def cached(answer: Any) -> int:
    details = answer.usage.prompt_tokens_details
    return (details.cached_tokens or 0) if details else 0
