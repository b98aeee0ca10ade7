"""What one server-sent event of an engine means; it knows three wire formats, not who reads or writes them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

_LONGEST_REASON = 40
_BOUNDARY = re.compile(rb"\r?\n\r?\n")
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)


class Usage(NamedTuple):
    """Tokens of one request as the engine counted them."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class Event(NamedTuple):
    """What the relay must know of one event."""

    finish: str | None = None
    usage: Usage | None = None
    usage_only: bool = False
    done: bool = False
    error: str | None = None


NOTHING = Event()


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole events, each with its blank line, and the unfinished rest."""
    events = []
    start = 0
    for boundary in _BOUNDARY.finditer(data):
        events.append(data[start : boundary.end()])
        start = boundary.end()
    return events, data[start:]


def read_openai(raw: bytes) -> Event:
    """An event of chat completions or completions."""
    payload = _payload(raw)
    if payload is None:
        return NOTHING
    if payload == b"[DONE]":
        return Event(done=True)
    content = _object(payload)
    if content is None or content.get("error") is not None:
        return Event(error=_error_type(content))
    choices = content.get("choices") or []
    finish = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
    usage = usage_of(content.get("usage"))
    return Event(finish=finish, usage=usage, usage_only=usage is not None and not choices)


def read_responses(raw: bytes) -> Event:
    """An event of the Responses API."""
    content = _content(raw)
    if content is None:
        return NOTHING if _payload(raw) is None else Event(error="malformed_event")
    kind = content.get("type")
    if kind in ("error", "response.failed"):
        return Event(error=_error_type(content.get("response") or content))
    if kind in ("response.completed", "response.incomplete"):
        response = content.get("response") or {}
        return Event(finish=response.get("status"), usage=usage_of(response.get("usage")), done=True)
    return NOTHING


def read_messages(raw: bytes) -> Event:
    """An event of Anthropic's Messages API."""
    content = _content(raw)
    if content is None:
        return NOTHING if _payload(raw) is None else Event(error="malformed_event")
    kind = content.get("type")
    if kind == "error":
        return Event(error=_error_type(content))
    if kind == "message_delta":
        return Event(finish=(content.get("delta") or {}).get("stop_reason"), usage=usage_of(content.get("usage")))
    return Event(done=True) if kind == "message_stop" else NOTHING


def usage_of(content: Any) -> Usage | None:
    """Read a `usage` object of any of the three APIs."""
    if not isinstance(content, dict):
        return None
    if "prompt_tokens" in content:
        details = content.get("prompt_tokens_details")
        prompt, output = content["prompt_tokens"], content.get("completion_tokens")
    else:
        details = content.get("input_tokens_details")
        prompt, output = content.get("input_tokens"), content.get("output_tokens")
    cached = details.get("cached_tokens") if details else content.get("cache_read_input_tokens")
    return Usage(prompt or 0, output or 0, cached or 0)


def usage_in(answer: bytes) -> Usage | None:
    """The usage of a whole, non-streamed answer, found by scanning: a batch of embeddings is long to parse."""
    start = answer.find(b"{", answer.rfind(b'"usage":'))
    end = answer.find(b"}", start)
    while 0 <= start < end:
        text = answer[start : end + 1]
        if text.count(b"{") == text.count(b"}"):
            return usage_of(_object(text))
        end = answer.find(b"}", end + 1)
    return None


def finish_in(answer: bytes) -> str | None:
    """Why a whole, non-streamed answer ended: of the first choice, where there are several."""
    for name in (b'"finish_reason":', b'"stop_reason":', b'"status":'):
        at = answer.find(name)
        if at >= 0:
            value = answer[at + len(name) : at + len(name) + _LONGEST_REASON].lstrip()
            return value[1:].partition(b'"')[0].decode("latin-1") if value[:1] == b'"' else None
    return None


def _payload(raw: bytes) -> bytes | None:
    lines = _DATA.findall(raw)
    return b"\n".join(lines).strip() if lines else None


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _content(raw: bytes) -> dict[str, Any] | None:
    payload = _payload(raw)
    return None if payload is None else _object(payload)


def _error_type(content: dict[str, Any] | None) -> str:
    error = (content or {}).get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) else "malformed_event"
