"""The chat requests that the load generators send; bodies are built before the clock runs."""

from __future__ import annotations

import random
import re
from typing import Any

import orjson

_WORDS = re.findall(
    "[a-z]+",
    "tide gate harbour lantern rope anchor engine signal captain window morning north quiet copper letter garden "
    "bridge river story number winter salt market candle paper stone tower forest bread needle",
)
_SYSTEM = "You are the harbour master. Answer in one short sentence, name the hour, and never guess a depth."
_QUESTION = "When does the gate open tonight for a barge that draws three metres?"


def small(tokens: int, stream: bool = False, delay_ms: int | None = None) -> bytes:
    """A body of about 350 bytes. The mock engine reads `delay_ms` between events from the seed."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}]
    return _body(messages, tokens, stream, delay_ms)


def distinct(salt: str, words: int, tokens: int) -> bytes:
    """A streaming body whose prompt no other salt has, so that no prefix cache shortens its prefill."""
    chosen = random.Random(salt).choices(_WORDS, k=words)
    return _body([{"role": "user", "content": " ".join(chosen)}], tokens, stream=True)


def encode(body: bytes, key: str) -> bytes:
    """The whole HTTP request for a chat completion."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
    ) % (key.encode(), len(body), body)


def _body(messages: list[dict[str, str]], tokens: int, stream: bool, seed: int | None = None) -> bytes:
    fields: dict[str, Any] = {"model": "tiny", "messages": messages, "max_tokens": tokens, "temperature": 0}
    if seed is not None:
        fields["seed"] = seed
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(fields)
