"""Checks of what a model is given to read: prompts, messages and input items, their number and what their parts name.

Each failure names its place. It knows no other field, and nothing of what the text says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from serving.front.checks import wrong
from serving.settings import LimitSettings

_URL_KEYS = frozenset({"image_url", "audio_url", "video_url", "file_url", "url"})
_EMBEDS = frozenset({"image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"})
# Objects of a client's own making, where a key called url is no address that an engine would fetch.
_OPAQUE = frozenset({"parameters", "input_schema", "input", "arguments"})


def check(body: dict[str, Any], names: tuple[str, ...], limits: LimitSettings) -> None:
    """Check prompts, messages or input items: present, sized, and without a URL that the engine would fetch."""
    given = [name for name in names if body.get(name) is not None]
    if not given:
        raise wrong(names[0], "is required")
    for name in given:
        value = body[name]
        if name == "messages":
            _messages(value, limits)
        elif isinstance(value, list):
            bound = limits.messages if name == "input" and not _are_prompts(value) else limits.prompts
            if not _is_token_ids(value) and len(value) > bound:
                raise wrong(name, f"has {len(value)} entries; at most {bound} are accepted")
            media(value, name, limits)
        elif not isinstance(value, str | dict):
            raise wrong(name, "must be a string or a list")
    if isinstance(system := body.get("system"), list):
        media(system, "system", limits)


def media(parts: list[Any], where: str, limits: LimitSettings) -> None:
    """Check the parts of a message or an item: none may hold what an engine would fetch, or embeddings."""
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            continue
        if embeds := _EMBEDS & part.keys():
            raise wrong(f"{where}[{index}].{min(embeds)}", "is not accepted: send text or data: URLs")
        if not all(_is_harmless(url, limits) for url in _urls(part)):
            raise wrong(f"{where}[{index}]", "names a URL to fetch; only data: URLs are accepted")


def _messages(value: Any, limits: LimitSettings) -> None:
    if not isinstance(value, list) or not value:
        raise wrong("messages", "must be a non-empty list")
    if len(value) > limits.messages:
        raise wrong("messages", f"has {len(value)} entries; at most {limits.messages} are accepted")
    for index, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise wrong(f"messages[{index}]", "must be an object with a role")
        text = message.get("content")
        if text is None or isinstance(text, str):
            continue
        if isinstance(text, list):
            media(text, f"messages[{index}].content", limits)
        else:
            raise wrong(f"messages[{index}].content", "must be a string or a list of parts")


def _urls(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _urls(item)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in _URL_KEYS and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list) and name not in _OPAQUE:
                yield from _urls(value)


def _is_harmless(url: str, limits: LimitSettings) -> bool:
    """It holds its data, or names a host that may be asked; what is no URL does neither."""
    # The standard library keeps what it took apart: no client's pictures.
    if url.startswith("data:"):
        return True
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "data" or (parts.scheme in ("http", "https") and parts.hostname in limits.media_hosts)


def _are_prompts(value: list[Any]) -> bool:
    return all(isinstance(item, str | list) for item in value)


def _is_token_ids(value: list[Any]) -> bool:
    return all(type(item) is int for item in value)
