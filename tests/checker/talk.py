"""One session as clients of the run use it: by which API, and how one turn of it is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import openai

from tests.checker import witness
from tests.support import said
from tests.support.said import Said
from tests.support.state_world import StateWorld

# chat          chat completions with `session_id`
# conversation  responses with `conversation`
# chain         responses with `previous_response_id`
Api = Literal["chat", "conversation", "chain"]


@dataclass
class Talk:
    """`name` is `team/session`. `last` is the acknowledged response that a chain goes on from: one client owns it."""

    name: str
    api: Api
    id: str
    last: str | None = None

    @property
    def team(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Manner:
    """How a turn is asked for. The client leaves after `events` of a chat stream."""

    stream: bool = False
    idempotency_key: str | None = None
    events: int | None = None


def ask(world: StateWorld, front: int, talk: Talk, marker: str, manner: Manner) -> Said:
    """Say one turn, and how that ended. Never raises."""
    text = witness.say(marker)
    if talk.api == "chat":
        return world.say(
            front,
            talk.id,
            text,
            team=talk.team,
            stream=manner.stream,
            idempotency_key=manner.idempotency_key,
            events=manner.events,
        )
    fields: dict[str, Any] = {"model": "tiny", "input": text, "stream": manner.stream}
    if manner.idempotency_key is not None:
        fields["extra_headers"] = {"Idempotency-Key": manner.idempotency_key}
    if talk.api == "conversation":
        fields["conversation"] = talk.id
    elif talk.last is not None:
        fields["previous_response_id"] = talk.last
    ended, response_id = respond(world.client(front, talk.team), fields)
    if talk.api == "chain" and ended.outcome == "acked":
        talk.last = response_id
    return ended


def respond(client: openai.OpenAI, fields: dict[str, Any]) -> tuple[Said, str | None]:
    """A response by the `openai` client, and its id where it is whole."""
    try:
        given = client.responses.create(**fields)
        return _streamed(given) if fields.get("stream") else _whole(given, given.output_text)
    except openai.APIStatusError as error:
        return said.of_status(error.status_code, error.code), None
    except openai.APIConnectionError as error:
        return Said("broken", f"{type(error).__name__} {error.__cause__!r}"), None
    except openai.APIError as error:
        return said.of_event(error.code), None


def _streamed(events: Any) -> tuple[Said, str | None]:
    text = ""
    for event in events:
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "error":
            return said.of_event(event.code), None
        elif event.type == "response.failed":
            return said.of_event(event.response.error.code if event.response.error else None), None
        elif event.type == "response.completed":
            return _whole(event.response, text)
    return Said("silent", "a stream that ends cleanly without response.completed"), None


def _whole(response: Any, text: str) -> tuple[Said, str | None]:
    if response.status != "completed" or response.output_text != text:
        return Said("silent", f"a response that is {response.status}: {response.output_text!r}, {text!r}"), None
    return Said("acked", "200", text), response.id
