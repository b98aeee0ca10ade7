"""Which ids the scripted engine's tokens have, and what a prompt of ids asks it to go on with; it knows no wire format.

The prompt is 1, 2, … PROMPT_TOKENS; the script's tokens are 1000, 1001, …; EOS ends a script that stops by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

PROMPT_TOKENS = 7
PROMPT = tuple(range(1, PROMPT_TOKENS + 1))
EOS = 2
FIRST_OUTPUT = 1000
MAX_TOKENS = 16
"""What vLLM generates for a completions request that says no `max_tokens`, or null."""


class Refused(Exception):
    """The request's `param` is not what an engine with this script can answer; str() says why."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(reason)
        self.param = param


@dataclass(frozen=True)
class Event:
    """What the engine tells at once: a piece of text, the ids behind it, and at the end why it ended."""

    text: str
    ids: Sequence[int]
    finish: str | None = None


@dataclass(frozen=True)
class Output:
    """What the engine generates for one request: `tokens` of the script, the first of which is its `start`-th."""

    tokens: Sequence[str]
    finish: str = "stop"
    start: int = 0

    @property
    def prompt(self) -> Sequence[int]:
        return (*PROMPT, *range(FIRST_OUTPUT, FIRST_OUTPUT + self.start))

    def events(self) -> Iterator[Event]:
        """A last token that the length allows ends the answer itself; a stop is a token of its own, without text."""
        cut = self.finish == "length" and bool(self.tokens)
        for place, token in enumerate(self.tokens):
            last = cut and place == len(self.tokens) - 1
            yield Event(token, [FIRST_OUTPUT + self.start + place], self.finish if last else None)
        if not cut:
            yield Event("", [] if self.finish == "length" else [EOS], self.finish)


def is_ids(request: Any) -> bool:
    """Is this a completions request whose prompt is one list of ids?"""
    prompt = request.get("prompt") if isinstance(request, dict) else None
    return isinstance(prompt, list) and all(type(part) is int for part in prompt)


def continued(whole: Output, request: dict[str, Any]) -> Output:
    """What follows the ids of the prompt. Raises Refused."""
    asked = request["prompt"]
    known = replace(whole, start=len(whole.tokens)).prompt
    for place, (one, expected) in enumerate(zip(asked, known, strict=False)):
        if one != expected:
            raise Refused("prompt", f"prompt[{place}] is {one}, where the engine has {expected}")
    if not len(PROMPT) <= len(asked) <= len(known):
        raise Refused("prompt", f"prompt has {len(asked)} ids, where the engine has {len(PROMPT)} to {len(known)}")
    start = len(asked) - len(PROMPT)
    return replace(whole, tokens=whole.tokens[start:], start=start)


def limited(output: Output, limit: int | None) -> Output:
    """As much of it as `max_tokens` allows; EOS counts as little as it does in the usage. Raises Refused."""
    if limit is not None and limit < 1:
        raise Refused("max_tokens", f"max_tokens must be at least 1, got {limit}.")
    if limit is None or len(output.tokens) <= limit:
        return output
    return replace(output, tokens=output.tokens[:limit], finish="length")
