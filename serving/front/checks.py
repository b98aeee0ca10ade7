"""Checks of single body fields: type, range, size; each failure names its parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving.errors import InvalidRequest
from serving.settings import LimitSettings

Check = Callable[[str, Any, LimitSettings], None]

_OUTPUT_BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512


def rules(names: frozenset[str]) -> dict[str, Check | None]:
    """The check of each of these fields; None for one that the engine knows better than we do."""
    return {name: _RULES.get(name) for name in names}


def model(body: dict[str, Any]) -> str:
    """The model that a body asks for."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise wrong("model", "must be the name of a model, such as one that GET /v1/models lists")
    return name


def output_bound(body: dict[str, Any]) -> int:
    """The client's own bound of the answer, tokens; 0 when it set none."""
    bound: int = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens") or 0
    return bound


def metadata(name: str, given: Any, _: LimitSettings | None = None) -> None:
    """OpenAI's `metadata`: up to 16 pairs of short strings."""
    if not isinstance(given, dict) or len(given) > _METADATA_PAIRS:
        raise wrong(name, f"must be an object of at most {_METADATA_PAIRS} strings")
    for key, value in given.items():
        if len(key) > _METADATA_KEY:
            raise wrong(f"{name}.{key[:_METADATA_KEY]}", f"has a name of more than {_METADATA_KEY} characters")
        if not isinstance(value, str) or len(value) > _METADATA_VALUE:
            raise wrong(f"{name}.{key}", f"must be a string of at most {_METADATA_VALUE} characters")


def deeper_than(value: Any, depth: int) -> bool:
    """True when arrays and objects nest deeper than `depth`."""
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    children = value.values() if isinstance(value, dict) else value
    return any(deeper_than(child, depth - 1) for child in children)


def wrong(name: str, what: str) -> InvalidRequest:
    """`what` is wrong with the field called `name`."""
    return InvalidRequest(f"`{name}` {what}.", param=name, code="invalid_value")


def _of(kind: type, words: str) -> Check:
    def check(name: str, given: Any, _: LimitSettings) -> None:
        if not isinstance(given, kind):
            raise wrong(name, f"must be {words}")

    return check


def _number(low: float, high: float) -> Check:
    def check(name: str, given: Any, _: LimitSettings) -> None:
        if type(given) not in (int, float) or not low <= given <= high:
            raise wrong(name, f"must be a number from {low:g} to {high:g}")

    return check


def _integer(low: int, high: Callable[[LimitSettings], int]) -> Check:
    def check(name: str, given: Any, limits: LimitSettings) -> None:
        if type(given) is not int or not low <= given <= high(limits):
            raise wrong(name, f"must be an integer from {low} to {high(limits)}")

    return check


def _logprobs(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, bool):
        _integer(0, lambda limits: limits.logprobs)(name, given, limits)


def _stops(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, str | list):
        raise wrong(name, "must be a string or a list")
    if isinstance(given, list) and len(given) > limits.stops:
        raise wrong(name, f"has {len(given)} entries; at most {limits.stops} are accepted")


def _logit_bias(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, dict) or len(given) > limits.logit_bias:
        raise wrong(name, f"must be an object of at most {limits.logit_bias} entries")


def _tools(name: str, given: Any, limits: LimitSettings) -> None:
    if not isinstance(given, list) or len(given) > limits.tools:
        raise wrong(name, f"must be a list of at most {limits.tools} tools")


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
