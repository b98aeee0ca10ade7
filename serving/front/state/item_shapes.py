"""Chat messages in the words of the Responses API, and the other way round; it knows neither turns nor ids.

One chat message may be several items: its reasoning, its text, each of its tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Content = dict[str, Any]

_TEXTS = frozenset({"text", "input_text", "output_text"})
# Of an item, what an engine needs to see again; of other types it accepts none.
_SENT = {
    "function_call": ("type", "call_id", "name", "arguments", "namespace"),
    "function_call_output": ("type", "call_id", "output"),
    "custom_tool_call": ("type", "call_id", "name", "input"),
    "custom_tool_call_output": ("type", "call_id", "output"),
}


def contents_of(message: Content) -> Iterator[Content]:
    """The items that a chat message consists of."""
    role, content = message.get("role"), message.get("content")
    if role in ("tool", "function"):
        call_id = message.get("tool_call_id") or message.get("name") or ""
        yield {"type": "function_call_output", "call_id": call_id, "output": _input_parts(content)}
        return
    if role == "assistant":
        reasoning = message.get("reasoning") or message.get("reasoning_content")
        if reasoning:
            yield {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": reasoning}]}
        calls = list(_calls(message))
        if refusal := message.get("refusal"):
            content = [*_parts(content, "output_text"), {"type": "refusal", "refusal": refusal}]
        if content or not (calls or reasoning):
            yield {"type": "message", "role": role, "content": _parts(content, "output_text")}
        yield from calls
    else:
        yield {"type": "message", "role": role, "content": _input_parts(content)}


def _calls(message: Content) -> Iterator[Content]:
    for call in message.get("tool_calls") or ():
        call_id = call.get("id") or ""
        if custom := call.get("custom"):
            yield {"type": "custom_tool_call", "call_id": call_id, "name": custom["name"], "input": custom["input"]}
        elif function := call.get("function"):
            yield _call(call_id, function)
    if function := message.get("function_call"):
        yield _call(function.get("name") or "", function)


def _call(call_id: str, function: Content) -> Content:
    name, arguments = function.get("name") or "", function.get("arguments") or ""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def sent(content: Content) -> Content | None:
    """An item as an entry of `input`; None for one that engines do not take, reasoning among them."""
    kind = content.get("type")
    if kind == "message":
        role, given = content["role"], content.get("content")
        # Of an assistant's message with parts vLLM reads the first one only.
        return {"type": kind, "role": role, "content": _text(given) if role == "assistant" else given}
    names = _SENT.get(kind or "")
    return {name: content[name] for name in names if content.get(name) is not None} if names else None


def add_message(messages: list[Content], sent: Content) -> None:
    """Add an input item to chat messages as vLLM does: calls go to the assistant's message before them."""
    kind = sent["type"]
    if kind == "message":
        messages.append({"role": sent["role"], "content": _chat_content(sent["content"])})
    elif kind in ("function_call", "custom_tool_call"):
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant"})
        messages[-1].setdefault("tool_calls", []).append(_tool_call(sent))
    else:
        content = _chat_content(sent.get("output"))
        messages.append({"role": "tool", "tool_call_id": sent["call_id"], "content": content})


def _tool_call(sent: Content) -> Content:
    name, arguments = sent["name"], sent.get("arguments", "")
    if sent["type"] == "custom_tool_call":
        # vLLM's own spelling, to the byte: the prompt's prefix depends on it.
        arguments = json.dumps({"input": sent.get("input") or ""}, ensure_ascii=False)
    elif "namespace" in sent:
        name = f"{sent['namespace']}__{name}"
    return {"id": sent["call_id"], "type": "function", "function": {"name": name, "arguments": arguments}}


def listed(content: Content) -> list[Content]:
    """The content of a message as clients list it."""
    text_type = "output_text" if content.get("role") == "assistant" else "input_text"
    return [_listed(part) for part in _parts(content.get("content"), text_type)]


def _listed(part: Content) -> Content:
    if part.get("type") == "output_text":
        return {**part, "annotations": part.get("annotations") or [], "logprobs": part.get("logprobs") or []}
    if part.get("type") == "input_image":
        return {"detail": "auto", **part}
    return part


def _input_parts(content: Any) -> Any:
    """Content of a message of a client: text stays text."""
    return content if isinstance(content, str) else _parts(content, "input_text")


def _parts(content: Any, text_type: str) -> list[Content]:
    if not content:
        return []
    if isinstance(content, str):
        return [{"type": text_type, "text": content}]
    return [_part(part, text_type) for part in content]


def _part(part: Any, text_type: str) -> Content:
    if isinstance(part, str):
        return {"type": text_type, "text": part}
    kind = part.get("type")
    if kind == "text":
        return {"type": text_type, "text": part.get("text") or ""}
    if kind == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "file":
        return {"type": "input_file", **(part.get("file") or {})}
    return dict(part)


def _chat_content(content: Any) -> Any:
    return content if isinstance(content, str) or content is None else [_chat_part(part) for part in content]


def _chat_part(part: Content) -> Content:
    kind = part.get("type")
    if kind in _TEXTS:
        return {"type": "text", "text": part["text"]}
    if kind == "input_image":
        image = {"url": part.get("image_url"), "detail": part.get("detail") or "auto"}
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    return part


def _text(content: Any) -> str:
    if isinstance(content, str) or not content:
        return content or ""
    return "".join(part.get("text") or part.get("refusal") or "" for part in content)
