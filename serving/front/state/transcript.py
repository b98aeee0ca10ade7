"""An engine's answer, as it went over the wire, becomes an object and new items; it knows two formats and no session.

A stream that broke or was cancelled is read as far as it came: text stays, a tool call without its whole arguments
goes, and the answer is incomplete.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from serving.front.dialect import Keeps, Route
from serving.front.events import Usage, usage_of
from serving.front.state import chat_stream, response_stream
from serving.front.state.records import Status


class Answer(NamedTuple):
    """`object` is what a client without streaming gets; `items` are what the turn adds: choice 0, or the output."""

    object: dict[str, Any]
    items: list[dict[str, Any]]
    status: Status
    usage: Usage | None


def read(route: Route, body: bytes, stream: bool) -> Answer:
    """Read a whole answer: JSON, or all events of a stream. Raises `ValueError` for JSON that is not an object."""
    is_response = route.keeps is Keeps.RESPONSES
    if stream:
        found, whole = response_stream.assemble(body) if is_response else chat_stream.assemble(body)
    else:
        found = orjson.loads(body)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        whole = found.get("status") in response_stream.ENDED if is_response else True
    items = found.get("output") or [] if is_response else _message(found)
    return Answer(found, items, "complete" if whole else "incomplete", usage_of(found.get("usage")))


def _message(completion: dict[str, Any]) -> list[dict[str, Any]]:
    """Choice 0's message without its empty fields; nothing where it broke off before it said anything."""
    choices = completion.get("choices")
    if not choices:
        return []
    message = {name: value for name, value in choices[0]["message"].items() if value not in (None, [])}
    says_something = any(value for name, value in message.items() if name != "role")
    return [message] if says_something or choices[0].get("finish_reason") else []
