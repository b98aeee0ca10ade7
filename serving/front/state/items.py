"""A turn's items: made from what a request brings and an engine answers, and said again as each API wants them.

It knows both formats; neither sessions nor stores. Ids that clients send are not kept: an item's id is unique in its
session. Reasoning is listed to clients and never sent to an engine again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from serving.errors import InvalidRequest
from serving.front import content as content_checks
from serving.front.dialect import Keeps
from serving.front.ids import Mint
from serving.front.state import item_checks, item_shapes
from serving.front.state.item_shapes import Content
from serving.front.state.records import Item, Turn
from serving.settings import LimitSettings

_REASONING = frozenset({"reasoning", "reasoning_content"})
_DERIVED = re.compile(r"(.+)_\d{1,4}")
_BYTES_PER_TOKEN = 4
# What an image, a file or a piece of audio costs, whatever its bytes.
_MEDIA_TOKENS = 1000
_MEDIA = frozenset({"image_url", "input_image", "input_audio", "audio_url", "video_url", "file", "input_file"})
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}


def from_request(keeps: Keeps, body: Mapping[str, Any], mint: Mint) -> tuple[Item, ...]:
    """The items of a generation request, whose size and media are checked. Raises `InvalidRequest`."""
    if keeps is Keeps.CHAT:
        return tuple(Item(mint("msg"), message) for message in body["messages"])
    return _minted(item_checks.checked(body.get("input") or [], "input"), mint)


def from_answer(keeps: Keeps, contents: Sequence[Content], mint: Mint) -> tuple[Item, ...]:
    """What an engine answered, under the ids that its client saw; a chat message has none and gets one."""
    if keeps is Keeps.CHAT:
        return tuple(Item(mint("msg"), message) for message in contents)
    return tuple(Item(content.get("id") or mint(_prefix(content)), content) for content in contents)


def new_items(raw: object, mint: Mint, limits: LimitSettings, param: str = "items") -> tuple[Item, ...]:
    """Items for a conversation, nothing of them checked yet. Raises `InvalidRequest` naming e.g. `items[3].role`."""
    if isinstance(raw, list) and len(raw) > limits.messages:
        message = f"`{param}` has {len(raw)} entries; at most {limits.messages} are accepted."
        raise InvalidRequest(message, param=param, code="invalid_value")
    contents = item_checks.checked(raw, param)
    content_checks.media(contents, param, limits)
    return _minted(contents, mint)


def tokens_of(content: Content) -> int:
    """What a message or an item costs in a prompt, an estimate: its JSON at four bytes a token, media flat."""
    for name in ("content", "output"):
        parts = content.get(name)
        if isinstance(parts, list):
            rest = len(orjson.dumps({**content, name: None})) // _BYTES_PER_TOKEN
            return rest + sum(map(_tokens_of_part, parts))
    return len(orjson.dumps(content)) // _BYTES_PER_TOKEN


def as_messages(turn: Turn) -> list[Content]:
    """As chat messages for an engine; those of a chat turn are what its client and its engine wrote."""
    if turn.format == "chat":
        return [_without_reasoning(item.content) for item in turn.items]
    messages: list[Content] = []
    for sent in as_input_items(turn):
        item_shapes.add_message(messages, sent)
    return messages


def as_input_items(turn: Turn) -> list[Content]:
    """As entries of `input` for an engine's /v1/responses."""
    sent = (item_shapes.sent(content) for item in turn.items for content in _contents(turn, item))
    return [content for content in sent if content is not None]


def as_public_items(turn: Turn) -> list[Content]:
    """As the Conversations API lists them, each with `id` and `status`; ids stay the same from call to call."""
    return [public for item in turn.items for public in _public_items(turn, item)]


def stored_ids(item_id: str) -> tuple[str, ...]:
    """The ids under which the item that a client calls so may be stored: one of several in a message has a suffix."""
    derived = _DERIVED.fullmatch(item_id)
    return (item_id, derived[1]) if derived else (item_id,)


def _without_reasoning(message: Content) -> Content:
    if "reasoning" not in message and "reasoning_content" not in message:
        return message
    return {name: value for name, value in message.items() if name not in _REASONING}


def _contents(turn: Turn, item: Item) -> Iterator[Content]:
    """What is stored, in the words of the Responses API."""
    return item_shapes.contents_of(item.content) if turn.format == "chat" else iter((item.content,))


def _public_items(turn: Turn, item: Item) -> Iterator[Content]:
    contents = list(_contents(turn, item))
    for index, content in enumerate(contents):
        item_id = item.id if len(contents) == 1 else f"{item.id}_{index}"
        from_model = content.get("role") == "assistant" or content.get("type") == "reasoning"
        whole = turn.status == "complete" or not from_model
        status = content.get("status") or ("completed" if whole else "incomplete")
        public = {"id": item_id, **content, "status": status}
        public["id"] = item_id
        if content.get("type") == "message":
            public["content"] = item_shapes.listed(content)
        yield public


def _minted(contents: Sequence[Content], mint: Mint) -> tuple[Item, ...]:
    return tuple(Item(mint(_prefix(content)), content) for content in contents)


def _prefix(content: Content) -> str:
    return _PREFIXES.get(content.get("type") or "message", "item")


def _tokens_of_part(part: Any) -> int:
    if isinstance(part, dict) and part.get("type") in _MEDIA:
        return _MEDIA_TOKENS
    return len(orjson.dumps(part)) // _BYTES_PER_TOKEN
