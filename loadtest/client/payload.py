"""What the JSON of a chat completion says: tokens for a user, usage, an error; it knows no framing and no time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
_CALLS = ("tool_calls", "function_call")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counts them; -1 where it does not say."""

    prompt_tokens: int = -1
    output_tokens: int = -1
    cached_tokens: int = -1


NO_USAGE = Usage()


def read(data: bytes) -> Any:
    """The JSON value; None where it is none. What some servers get wrong within strings is forgiven."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None


def choices(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The choices that are objects."""
    listed = payload.get("choices")
    for choice in listed if isinstance(listed, list) else ():
        if isinstance(choice, dict):
            yield choice


def has_tokens(payload: Mapping[str, Any]) -> bool:
    """Whether any delta holds something of the answer: text, reasoning, a tool call. A role or a finish is none."""
    return any(_says_something(delta) for choice in choices(payload) if (delta := _part(choice, "delta")))


def text(payload: Mapping[str, Any], kind: str = "delta") -> str:
    """The first choice's content; `kind` is delta or message."""
    contents = (_part(choice, kind).get("content") for choice in choices(payload) if not choice.get("index"))
    return "".join(content for content in contents if isinstance(content, str))


def usage(payload: Mapping[str, Any]) -> Usage | None:
    """None where there is none: absent or null."""
    told = payload.get("usage")
    if not isinstance(told, dict):
        return None
    details = _part(told, "prompt_tokens_details")
    return Usage(_count(told, "prompt_tokens"), _count(told, "completion_tokens"), _count(details, "cached_tokens"))


def is_error(payload: Mapping[str, Any]) -> bool:
    """Whether it is an error in the place of an answer."""
    return bool(payload.get("error")) or payload.get("object") == "error"


def texts(delta: Mapping[str, Any]) -> list[str]:
    """The names of the fields with text in them."""
    return [name for name in TEXTS if isinstance(delta.get(name), str) and delta[name]]


def _says_something(delta: Mapping[str, Any]) -> bool:
    return bool(texts(delta)) or any(delta.get(name) for name in _CALLS)


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _count(whole: Mapping[str, Any], name: str) -> int:
    value = whole.get(name)
    return value if isinstance(value, int) and value >= 0 else -1
