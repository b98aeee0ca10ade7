"""What a scripted cell says: answers whose every token tells whose it is and which; it knows no socket and no time.

A prompt's ids are 3 + N for a word that is the number N below 900, else 1. The answer to a prompt whose last id is P
is " P.0 P.1 P.2 …" in tokens 1000, 1001, 1002, …, as long as the request allows, whichever cell says it. So a prompt of
ids that holds some of the answer is enough to go on with it, and one that holds anything else is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support import vllm_wire
from tests.support.token_ids import FIRST_OUTPUT, MAX_TOKENS, Output, Refused

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_NUMBERS = 900
_WORD, _ZERO = 1, 3


@dataclass(frozen=True)
class _Output(Output):
    asked: Sequence[int] = ()

    @property
    def prompt(self) -> Sequence[int]:
        return (*self.asked, *range(FIRST_OUTPUT, FIRST_OUTPUT + self.start))


@dataclass(frozen=True)
class Answer(vllm_wire.Answer):
    """To a prompt of these ids, from its `start`-th token on."""

    asked: Sequence[int] = ()

    @property
    def output(self) -> Output:
        return _Output(self.tokens, self.finish, self.start, asked=self.asked)


def prompt_ids(text: str) -> list[int]:
    """The ids of a prompt's words."""
    return [_ZERO + int(word) % _NUMBERS if word.isdecimal() else _WORD for word in text.split()]


def tokens(prompt: Sequence[int], count: int, start: int = 0) -> list[str]:
    """So many tokens of the answer."""
    return [f" {prompt[-1]}.{place}" for place in range(start, start + count)]


def answer(path: str, model: str, body: Any) -> Answer:
    """What is said to a request. Raises `Refused` with the parameter that cannot be answered."""
    kind = "chatcmpl" if path == CHAT else "cmpl"
    asked = _asked_in_chat(body) if path == CHAT else _asked_in_ids(body)
    said = next((place for place, token in enumerate(asked) if token >= FIRST_OUTPUT), len(asked))
    prompt, start = asked[:said], len(asked) - said
    if asked[said:] != list(range(FIRST_OUTPUT, FIRST_OUTPUT + start)):
        raise Refused("prompt", "behind its first part, prompt does not hold what was answered to it")
    count = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS
    return Answer(
        id=f"{kind}-{uuid.uuid4().hex}",
        model=model,
        tokens=tokens(prompt, count, start),
        finish="length",
        start=start,
        ids=body.get("return_token_ids") is True,
        asked=prompt,
    )


def by_token(path: str, answer: Answer, body: dict[str, Any]) -> Iterator[list[bytes]]:
    """The events that go out with each token of a stream; the last one brings the end."""
    events = vllm_wire.STREAMS[path](answer, body)
    opening = [next(events)] if path == CHAT else []
    for _ in answer.tokens[1:]:
        yield [*opening, next(events)]
        opening = []
    yield [*opening, *events]


def _asked_in_chat(body: Any) -> list[int]:
    try:
        asked = [token for message in body["messages"] for token in prompt_ids(message["content"])]
    except (KeyError, TypeError, AttributeError):
        asked = []
    if not asked:
        raise Refused("messages", "this cell knows messages of text alone")
    return asked


def _asked_in_ids(body: Any) -> list[int]:
    prompt = body.get("prompt") if isinstance(body, dict) else None
    if not isinstance(prompt, list) or not all(type(token) is int for token in prompt):
        raise Refused("prompt", "this cell completes token ids alone")
    if not prompt or prompt[0] >= FIRST_OUTPUT:
        raise Refused("prompt", "prompt does not begin with what was asked")
    return prompt
