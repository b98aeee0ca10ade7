"""The wire formats that clients speak: how each reads an engine's event and says an error; it knows no request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from serving.errors import RequestError
from serving.front import events, fields
from serving.front.checks import Check, rules
from serving.front.events import Event

# Anthropic's names for what OpenAI calls by other names.
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def openai_error(error: RequestError) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return orjson.dumps(
        {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
    )


def anthropic_error(error: RequestError) -> bytes:
    """`{"type": "error", "error": {"type", "message"}}`."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": error.message}})


def _openai_event(error: RequestError) -> bytes:
    return b"data: %b\n\n" % openai_error(error)


def _anthropic_event(error: RequestError) -> bytes:
    return b"event: error\ndata: %b\n\n" % anthropic_error(error)


def _responses_event(error: RequestError) -> bytes:
    content: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(content)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One client-side wire format.

    `plain` occurs exactly once in each event that carries nothing but a token, and in no other: the relay counts it
    instead of parsing. JSON escapes quotes inside strings, so generated text cannot imitate it.
    """

    read: Callable[[bytes], Event]
    plain: bytes
    error_body: Callable[[RequestError], bytes]
    error_event: Callable[[RequestError], bytes]
    heartbeat: bytes = b": heartbeat\n\n"


OPENAI = Dialect(events.read_openai, b'"finish_reason":null', openai_error, _openai_event)
RESPONSES = Dialect(events.read_responses, b"event: response.output_text.delta\n", openai_error, _responses_event)
ANTHROPIC = Dialect(
    events.read_messages,
    b"event: content_block_delta\n",
    anthropic_error,
    _anthropic_event,
    heartbeat=b'event: ping\ndata: {"type": "ping"}\n\n',
)


class Keeps(Enum):
    """What a route can keep of a request."""

    NOTHING = frozenset[str]()
    CHAT = frozenset({"session_id", "store", "metadata", "history"})
    RESPONSES = frozenset({"conversation", "previous_response_id", "store", "background", "history"})


@dataclass(frozen=True, slots=True)
class Route:
    """One generation route: a POST that the flow relays to an engine under the same path."""

    path: str
    dialect: Dialect
    fields: dict[str, Check | None]
    content: tuple[str, ...]
    streams: bool = True
    usage_on_request: bool = False
    keeps: Keeps = Keeps.NOTHING
    # The names in `keeps`: an enum's value costs two calls a request.
    kept: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", self.keeps.value)


CHAT = Route("/v1/chat/completions", OPENAI, rules(fields.CHAT), ("messages",), usage_on_request=True, keeps=Keeps.CHAT)
COMPLETIONS = Route("/v1/completions", OPENAI, rules(fields.COMPLETIONS), ("prompt",), usage_on_request=True)
EMBEDDINGS = Route("/v1/embeddings", OPENAI, rules(fields.EMBEDDINGS), ("input", "messages"), streams=False)
RESPONSE = Route("/v1/responses", RESPONSES, rules(fields.RESPONSES), ("input", "prompt"), keeps=Keeps.RESPONSES)
MESSAGES = Route("/v1/messages", ANTHROPIC, rules(fields.MESSAGES), ("messages",))
COUNT_TOKENS = Route("/v1/messages/count_tokens", ANTHROPIC, rules(fields.MESSAGES), ("messages",), streams=False)

ROUTES = {route.path.encode(): route for route in (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSE, MESSAGES, COUNT_TOKENS)}
