"""Events of a continuation become events of the stream that broke: one id, one format, one sum of tokens.

None at all, b"", for what the client must not see.
"""

from __future__ import annotations

from typing import Any

import orjson

from serving.front.continuation.tape import Tape
from serving.front.dialect import CHAT, Route

_NAMES = ("id", "object", "created", "model")
_DONE = b"data: [DONE]\n\n"
_TEXT_KEYS = frozenset({"content"})


class Splice:
    """For the stream on `tape`, which it goes on recording. `said_tokens` were said before the cut."""

    def __init__(self, tape: Tape, route: Route) -> None:
        self._tape = tape
        self._is_chat = route is CHAT
        told = orjson.loads(tape.head.partition(b"data:")[2])
        self._head = {name: told[name] for name in _NAMES if name in told}
        self._prompt_tokens = len(tape.prompt)
        self._said_tokens = len(tape.said)

    def translate(self, raw: bytes) -> bytes:
        """One event; what is no chunk of a completion stays as it is."""
        try:
            content = orjson.loads(raw.partition(b"data:")[2])
        except orjson.JSONDecodeError:
            return raw
        if not isinstance(content, dict) or "choices" not in content:
            return raw
        if choices := content["choices"]:
            return self._retold(choices[0]) if "delta" in choices[0] else self._chunk(choices[0])
        usage = content.get("usage") or {}
        return self._usage(usage.get("completion_tokens") or 0, content.get("system_fingerprint"))

    def ending(self, *, is_counted: bool) -> bytes:
        """What follows the finish reason, or the count of tokens behind it, where no engine says it."""
        return _DONE if is_counted else self._usage(0, None) + _DONE

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        text: str = choice.get("text") or ""
        self._tape.add(choice.get("token_ids") or [], is_spoken=bool(text))
        return self._event(choices=[self._choice(text, choice.get("finish_reason"), choice.get("stop_reason"))])

    def _retold(self, choice: dict[str, Any]) -> bytes:
        """Of a chat that was asked anew, as nothing had been said: its beginning was told before."""
        delta, ids = choice["delta"] or {}, choice.get("token_ids") or []
        if "role" in delta:
            return b""
        is_silent = not delta and not choice.get("finish_reason")
        self._tape.add(ids, is_spoken=bool(delta.get("content")))
        if is_silent or not delta.keys() <= _TEXT_KEYS:
            self._tape.is_plain = False
        return b"" if is_silent else self._event(choices=[{**choice, "token_ids": None}])

    def _choice(self, text: str, finish: str | None, stop: Any) -> dict[str, Any]:
        if not self._is_chat:
            shown = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": stop}
            return {**shown, "prompt_token_ids": None, "token_ids": None}
        shown = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish}
        return {**shown, **({"stop_reason": stop} if finish else {}), "token_ids": None}

    def _usage(self, new_tokens: int, fingerprint: str | None) -> bytes:
        prompt, output = self._prompt_tokens, self._said_tokens + new_tokens
        usage = {"prompt_tokens": prompt, "total_tokens": prompt + output, "completion_tokens": output}
        named = {"system_fingerprint": fingerprint} if fingerprint else {}
        return self._event(choices=[], usage=usage, **named)

    def _event(self, **fields: Any) -> bytes:
        return b"data: %b\n\n" % orjson.dumps({**self._head, **fields})
