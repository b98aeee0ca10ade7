"""Which ids the scripted engine's tokens have, and what a prompt of ids asks it to go on with; it knows no wire format.

The prompt is 1, 2, … PROMPT_TOKENS; the script's tokens are 1000, 1001, …; EOS ends a script that stops by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
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
    """What the engine generates for one request: `tokens` of the script, the first of which is its `start`-th.

    vLLM tells one token per event, and several at once where it falls behind: `per_event`.
    """

    tokens: Sequence[str]
    finish: str = "stop"
    start: int = 0
    per_event: int = 1

    @property
    def prompt(self) -> Sequence[int]:
        return (*PROMPT, *range(FIRST_OUTPUT, FIRST_OUTPUT + self.start))

    def events(self) -> Iterator[Event]:
        told = self._tokens()
        while part := list(islice(told, self.per_event)):
            yield Event("".join(one.text for one in part), [id for one in part for id in one.ids], part[-1].finish)

    def _tokens(self) -> Iterator[Event]:
        """A last token that the length allows ends the answer itself; a stop is a token of its own, without text."""
        cut = self.finish == "length" and bool(self.tokens)
        for place, token in enumerate(self.tokens):
            last = cut and place == len(self.tokens) - 1
            yield Event(token, [FIRST_OUTPUT + self.start + place], self.finish if last else None)
        if not cut:
            yield Event("", [] if self.finish == "length" else [EOS], self.finish)


def generated(path: str, request: Any, whole: Output) -> Output:
    """`whole`, or what of it follows the prompt's ids, as far as `max_tokens` goes. Raises Refused."""
    if path not in ("/v1/chat/completions", "/v1/completions") or not isinstance(request, dict):
        return whole
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if path == "/v1/chat/completions" or not _is_ids(request.get("prompt")):
        return _limited(whole, limit)
    return _limited(_after(request["prompt"], whole), MAX_TOKENS if limit is None else limit)


def detokenized(tokens: Sequence[str], ids: Sequence[int]) -> str:
    """What these ids of the script's `tokens` read. One without text is the first half of a character."""
    texts = [tokens[id - FIRST_OUTPUT] for id in ids if id >= FIRST_OUTPUT]
    return "".join(texts) + ("\ufffd" if texts and not texts[-1] else "")


def _is_ids(prompt: Any) -> bool:
    return isinstance(prompt, list) and all(type(part) is int for part in prompt)


def _after(prompt: list[int], whole: Output) -> Output:
    known = replace(whole, start=len(whole.tokens)).prompt
    for place, (one, expected) in enumerate(zip(prompt, known, strict=False)):
        if one != expected:
            raise Refused("prompt", f"prompt[{place}] is {one}, where the engine has {expected}")
    if not len(PROMPT) <= len(prompt) <= len(known):
        raise Refused("prompt", f"prompt has {len(prompt)} ids, where the engine has {len(PROMPT)} to {len(known)}")
    start = len(prompt) - len(PROMPT)
    return replace(whole, tokens=whole.tokens[start:], start=start)


def _limited(output: Output, limit: int | None) -> Output:
    """EOS counts as little as it does in the usage."""
    if limit is not None and limit < 1:
        raise Refused("max_tokens", f"max_tokens must be at least 1, got {limit}.")
    if limit is None or len(output.tokens) <= limit:
        return output
    return replace(output, tokens=output.tokens[:limit], finish="length")
