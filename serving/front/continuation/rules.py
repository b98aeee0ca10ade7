"""Which requests may go on at another engine in the middle of their answer; it knows no engine and no stream.

Safe is what depends on the token ids so far and on nothing else that the first engine knew. Not safe are, by
../shared/facts/reliability.md section 5: grammars and tools (the parser's state is lost), penalties and minimums that
count output only, several choices, a seed (the generator begins anew), stop strings across the cut, log
probabilities, media. What is in no table here is not safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving.front.dialect import CHAT, COMPLETIONS
from serving.front.wire import GenerationRequest

# A continuation is asked with the same.
CARRIED = frozenset(
    {
        "allowed_token_ids",
        "ignore_eos",
        "logit_bias",
        "min_p",
        "repetition_penalty",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "temperature",
        "top_k",
        "top_p",
    }
)
# These made the prompt, whose ids are there; or say nothing about the answer; or are counted down.
_SPENT = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "continue_final_message",
        "documents",
        "max_completion_tokens",
        "max_tokens",
        "model",
        "parallel_tool_calls",
        "reasoning_effort",
        "stream",
        "truncate_prompt_tokens",
        "truncation_side",
        "user",
    }
)
_SAFE = CARRIED | _SPENT
_HARMLESS_OPTIONS = frozenset({"include_usage"})


def may_continue(request: GenerationRequest) -> bool:
    """True for a stream of plain text."""
    if not request.stream or (request.route is not CHAT and request.route is not COMPLETIONS):
        return False
    body = request.body
    return all(
        given is None or name in _SAFE or ((check := _WHEN.get(name)) is not None and check(given, body))
        for name, given in body.items()
    )


def _is_off(given: Any, _: dict[str, Any]) -> bool:
    return not given


def _is_one(given: Any, _: dict[str, Any]) -> bool:
    return bool(given == 1)


def _is_greedy(_: Any, body: dict[str, Any]) -> bool:
    return body.get("temperature") == 0


def _is_text(given: Any, _: dict[str, Any]) -> bool:
    return isinstance(given, dict) and given.get("type") == "text"


def _is_no_tool(given: Any, _: dict[str, Any]) -> bool:
    return bool(given == "none")


def _are_usual_options(given: Any, _: dict[str, Any]) -> bool:
    return isinstance(given, dict) and given.keys() <= _HARMLESS_OPTIONS


def _is_one_prompt(given: Any, _: dict[str, Any]) -> bool:
    if isinstance(given, list):
        return (len(given) == 1 and isinstance(given[0], str)) or all(type(token) is int for token in given)
    return isinstance(given, str)


def _are_texts(given: Any, _: dict[str, Any]) -> bool:
    return all(_is_text_message(message) for message in given)


def _is_text_message(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return not isinstance(content, list) or all(
        isinstance(part, dict) and part.get("type") == "text" for part in content
    )


_WHEN: dict[str, Callable[[Any, dict[str, Any]], bool]] = {
    "bad_words": _is_off,
    "best_of": _is_one,
    "echo": _is_off,
    "frequency_penalty": _is_off,
    # An engine that leaves reasoning out hides the ids of what it says.
    "include_reasoning": _is_one,
    "include_stop_str_in_output": _is_off,
    "logprobs": _is_off,
    "messages": _are_texts,
    "min_tokens": _is_off,
    "n": _is_one,
    "presence_penalty": _is_off,
    "prompt": _is_one_prompt,
    "response_format": _is_text,
    "return_token_ids": _is_off,
    "return_tokens_as_token_ids": _is_off,
    "seed": _is_greedy,
    "stop": _is_off,
    "stream_options": _are_usual_options,
    "tool_choice": _is_no_tool,
    "tools": _is_off,
    "top_logprobs": _is_off,
    "use_beam_search": _is_off,
}
