"""Checks of items that a client sends, in the words of the Responses API: type, role, content; each names its place.

It knows what can be stored and sent to an engine again; neither limits nor ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving.errors import InvalidRequest

_ROLES = ("user", "assistant", "system", "developer")
_TEXT_PARTS = ("input_text", "output_text", "text")
_OTHER_PARTS = ("input_file", "input_audio")
_PARTS = (*_TEXT_PARTS, "refusal", "input_image", *_OTHER_PARTS)


def checked(raw: object, param: str) -> list[dict[str, Any]]:
    """`input` of a response, or `items` of a conversation: each with a type, without its id; a string is a message.

    Raises `InvalidRequest` naming e.g. `input[3].role`.
    """
    if isinstance(raw, str):
        return [{"type": "message", "role": "user", "content": raw}]
    if not isinstance(raw, list):
        raise _wrong(param, "must be a string or a list of items")
    return [_checked(item, f"{param}[{index}]") for index, item in enumerate(raw)]


def _checked(item: object, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _wrong(where, "must be an object")
    kind = item.get("type")
    if kind is None and "role" in item:
        kind = "message"
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise _wrong(f"{where}.type", f"must be one of {', '.join(_CHECKS)}")
    check(item, where)
    return {"type": kind, **{name: value for name, value in item.items() if name not in ("type", "id")}}


def _message(item: dict[str, Any], where: str) -> None:
    if item.get("role") not in _ROLES:
        raise _wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    _content(item.get("content"), f"{where}.content")


def _content(content: object, where: str) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _wrong(where, "must be a string or a list of parts")
    for index, part in enumerate(content):
        _part(part, f"{where}[{index}]")


def _part(part: object, where: str) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise _wrong(where, "must be an object with a type")
    kind = part["type"]
    if kind in _TEXT_PARTS:
        _strings("text")(part, where)
    elif kind == "refusal":
        _strings("refusal")(part, where)
    elif kind == "input_image":
        if not isinstance(part.get("image_url"), str) and not isinstance(part.get("file_id"), str):
            raise _wrong(f"{where}.image_url", "must be a string")
    elif kind not in ("input_file", "input_audio"):
        raise _wrong(
            f"{where}.type", "must be input_text, output_text, refusal, input_image, input_file or input_audio"
        )


def _strings(*names: str) -> Callable[[dict[str, Any], str], None]:
    def check(item: dict[str, Any], where: str) -> None:
        for name in names:
            if not isinstance(item.get(name), str):
                raise _wrong(f"{where}.{name}", "must be a string")

    return check


def _output(item: dict[str, Any], where: str) -> None:
    _strings("call_id")(item, where)
    _content(item.get("output"), f"{where}.output")


def _reasoning(item: dict[str, Any], where: str) -> None:
    for name in ("content", "summary"):
        parts = item.get(name)
        if parts is not None and not (isinstance(parts, list) and all(isinstance(part, dict) for part in parts)):
            raise _wrong(f"{where}.{name}", "must be a list of objects")


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "message": _message,
    "function_call": _strings("call_id", "name", "arguments"),
    "function_call_output": _output,
    "custom_tool_call": _strings("call_id", "name", "input"),
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
}


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` {what}.", param=name, code="invalid_value")
