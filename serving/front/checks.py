"""Checks of single body fields: type, range, size; each failure names its parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from serving.errors import InvalidRequest
from serving.settings import LimitSettings

Check = Callable[[str, Any, LimitSettings], None]

_OUTPUT_BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512
_URL_KEYS = frozenset({"image_url", "audio_url", "video_url", "file_url", "url"})
_EMBEDS = frozenset({"image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"})
# Objects of a client's own making, where a key called url is no address that an engine would fetch.
_OPAQUE = frozenset({"parameters", "input_schema", "input", "arguments"})


def rules(names: frozenset[str]) -> dict[str, Check | None]:
    """The check of each of these fields; None for one that the engine knows better than we do."""
    return {name: _RULES.get(name) for name in names}


def model(body: dict[str, Any]) -> str:
    """The model that a body asks for."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise _wrong("model", "must be the name of a model, such as one that GET /v1/models lists")
    return name


def content(body: dict[str, Any], names: tuple[str, ...], limits: LimitSettings) -> None:
    """Check prompts, messages or input items: present, sized, and without a URL that the engine would fetch."""
    given = [name for name in names if body.get(name) is not None]
    if not given:
        raise _wrong(names[0], "is required")
    for name in given:
        value = body[name]
        if name == "messages":
            _messages(value, limits)
        elif isinstance(value, list):
            bound = limits.messages if name == "input" and not _are_prompts(value) else limits.prompts
            if not _is_token_ids(value) and len(value) > bound:
                raise _wrong(name, f"has {len(value)} entries; at most {bound} are accepted")
            media(value, name, limits)
        elif not isinstance(value, str | dict):
            raise _wrong(name, "must be a string or a list")
    if isinstance(system := body.get("system"), list):
        media(system, "system", limits)


def output_bound(body: dict[str, Any]) -> int:
    """The client's own bound of the answer, tokens; 0 when it set none."""
    bound: int = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens") or 0
    return bound


def metadata(name: str, given: Any, _: LimitSettings | None = None) -> None:
    """OpenAI's `metadata`: up to 16 pairs of short strings."""
    if not isinstance(given, dict) or len(given) > _METADATA_PAIRS:
        raise _wrong(name, f"must be an object of at most {_METADATA_PAIRS} strings")
    for key, value in given.items():
        if len(key) > _METADATA_KEY:
            raise _wrong(f"{name}.{key[:_METADATA_KEY]}", f"has a name of more than {_METADATA_KEY} characters")
        if not isinstance(value, str) or len(value) > _METADATA_VALUE:
            raise _wrong(f"{name}.{key}", f"must be a string of at most {_METADATA_VALUE} characters")


def deeper_than(value: Any, depth: int) -> bool:
    """True when arrays and objects nest deeper than `depth`."""
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    children = value.values() if isinstance(value, dict) else value
    return any(deeper_than(child, depth - 1) for child in children)


def _messages(value: Any, limits: LimitSettings) -> None:
    if not isinstance(value, list) or not value:
        raise _wrong("messages", "must be a non-empty list")
    if len(value) > limits.messages:
        raise _wrong("messages", f"has {len(value)} entries; at most {limits.messages} are accepted")
    for index, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong(f"messages[{index}]", "must be an object with a role")
        text = message.get("content")
        if text is None or isinstance(text, str):
            continue
        if isinstance(text, list):
            media(text, f"messages[{index}].content", limits)
        else:
            raise _wrong(f"messages[{index}].content", "must be a string or a list of parts")


def media(parts: list[Any], where: str, limits: LimitSettings) -> None:
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            continue
        if embeds := _EMBEDS & part.keys():
            raise _wrong(f"{where}[{index}].{min(embeds)}", "is not accepted: send text or data: URLs")
        for url in _urls(part):
            scheme, host = urlsplit(url).scheme.lower(), urlsplit(url).hostname
            if scheme != "data" and not (scheme in ("http", "https") and host in limits.media_hosts):
                raise _wrong(f"{where}[{index}]", "names a URL to fetch; only data: URLs are accepted")


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


def _are_prompts(value: list[Any]) -> bool:
    return all(isinstance(item, str | list) for item in value)


def _is_token_ids(value: list[Any]) -> bool:
    return all(type(item) is int for item in value)


def _of(kind: type, words: str) -> Check:
    def check(name: str, given: Any, _: LimitSettings) -> None:
        if not isinstance(given, kind):
            raise _wrong(name, f"must be {words}")

    return check


def _number(low: float, high: float) -> Check:
    def check(name: str, given: Any, _: LimitSettings) -> None:
        if type(given) not in (int, float) or not low <= given <= high:
            raise _wrong(name, f"must be a number from {low:g} to {high:g}")

    return check


def _integer(low: int, high: Callable[[LimitSettings], int]) -> Check:
    def check(name: str, given: Any, limits: LimitSettings) -> None:
        if type(given) is not int or not low <= given <= high(limits):
            raise _wrong(name, f"must be an integer from {low} to {high(limits)}")

    return check


def _logprobs(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, bool):
        _integer(0, lambda limits: limits.logprobs)(name, given, limits)


def _stops(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, str | list):
        raise _wrong(name, "must be a string or a list")
    if isinstance(given, list) and len(given) > limits.stops:
        raise _wrong(name, f"has {len(given)} entries; at most {limits.stops} are accepted")


def _logit_bias(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, dict) or len(given) > limits.logit_bias:
        raise _wrong(name, f"must be an object of at most {limits.logit_bias} entries")


def _tools(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, list) or len(given) > limits.tools:
        raise _wrong(name, f"must be a list of at most {limits.tools} tools")


_flag, _text, _object = _of(bool, "true or false"), _of(str, "a string"), _of(dict, "an object")
_choices = _integer(1, lambda limits: limits.choices)
_few = _integer(0, lambda limits: limits.logprobs)
_bound = _integer(1, lambda limits: limits.output_tokens)

_RULES: dict[str, Check] = {
    **dict.fromkeys(("stream", "ignore_eos", "parallel_tool_calls", "use_beam_search", "echo"), _flag),
    **dict.fromkeys(("user", "suffix", "reasoning_effort", "instructions", "service_tier"), _text),
    **dict.fromkeys(("stream_options", "response_format", "structured_outputs", "reasoning", "text"), _object),
    **dict.fromkeys(("frequency_penalty", "presence_penalty"), _number(-2, 2)),
    **dict.fromkeys(("top_p", "min_p"), _number(0, 1)),
    **dict.fromkeys(_OUTPUT_BOUNDS, _bound),
    **dict.fromkeys(("n", "best_of"), _choices),
    **dict.fromkeys(("top_logprobs", "prompt_logprobs"), _few),
    **dict.fromkeys(("stop", "stop_sequences", "stop_token_ids", "bad_words"), _stops),
    "temperature": _number(0, 2),
    "repetition_penalty": _number(0, 10),
    "seed": _integer(-(2**63), lambda _: 2**63 - 1),
    "logprobs": _logprobs,
    "logit_bias": _logit_bias,
    "metadata": metadata,
    "tools": _tools,
}


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` {what}.", param=name, code="invalid_value")
