"""What was said so far in one stream, as token ids: taken from an engine's events on their way to the client.

vLLM is asked for the ids of the prompt, with the first event, and of each token. The client gets `null` in their place,
which is what an engine sends that was not asked. JSON escapes quotes inside strings, so generated text cannot imitate
what is looked for.
"""

from __future__ import annotations

from serving.front.dialect import CHAT, Route

_TOKENS, _PROMPT, _NONE = b'"token_ids":[', b'"prompt_token_ids":[', b"null"
# Behind it stands the text that an event adds. An event without any says so; one with neither says something else.
_CHAT_TEXT, _CHAT_SILENCE, _TEXT = b'"delta":{"content":"', b'"delta":{}', b'"text":"'
# A stream whose ids take more cannot go on.
_MOST_BYTES = 1024 * 1024


class Tape:
    """`head` is the stream's first event, empty until it came."""

    __slots__ = ("_is_chat", "_prompt", "_said", "_spoken", "_text", "head", "is_plain")

    def __init__(self, route: Route) -> None:
        self.head = b""
        # Nothing but text was said so far, and all of it is on the tape.
        self.is_plain = True
        self._is_chat = route is CHAT
        self._text = _CHAT_TEXT if self._is_chat else _TEXT
        # Decimal ids as they came, with a comma behind each event's.
        self._prompt = b""
        self._said = bytearray()
        self._spoken = 0

    def take(self, data: bytes) -> bytes:
        """Record whole events; what the client gets of them."""
        if not self.head:
            data = self._take_head(data)
        first, *rest = data.split(_TOKENS)
        if not rest:
            return data
        out = [first]
        before = first
        for part in rest:
            ids, _, after = part.partition(b"]")
            self._record(ids, before)
            out.append(after)
            before = after
        return (_TOKENS[:-1] + _NONE).join(out)

    def add(self, ids: list[int], *, is_spoken: bool) -> None:
        """Tokens of a continuation."""
        self._append(b",".join(b"%d" % token for token in ids), is_spoken=is_spoken)

    def rewind(self) -> None:
        """Forget tokens behind the last text: a continuation says them again."""
        del self._said[self._spoken :]

    @property
    def prompt(self) -> list[int]:
        return _numbers(self._prompt)

    @property
    def said(self) -> list[int]:
        """Ids of the answer's tokens, those included whose text is still held back."""
        return _numbers(self._said)

    def _take_head(self, data: bytes) -> bytes:
        before, found, rest = data.partition(_PROMPT)
        if found:
            self._prompt, _, rest = rest.partition(b"]")
            data = before + _PROMPT[:-1] + _NONE + rest
        else:
            self.is_plain = False
        self.head = data[: data.find(b"\n\n") + 2]
        return data

    def _record(self, ids: bytes, before: bytes) -> None:
        """`before` ends with what the ids' event has before them."""
        at = before.rfind(self._text)
        if at < 0 and not (self._is_chat and _CHAT_SILENCE in before):
            self.is_plain = False
        end = at + len(self._text)
        self._append(ids, is_spoken=at >= 0 and before[end : end + 1] != b'"')

    def _append(self, ids: bytes, *, is_spoken: bool) -> None:
        said = self._said
        if ids:
            said += ids
            said += b","
        if is_spoken:
            self._spoken = len(said)
        if len(said) + len(self._prompt) > _MOST_BYTES:
            self.is_plain = False
            said.clear()


def _numbers(ids: bytes | bytearray) -> list[int]:
    return [int(token) for token in ids.split(b",") if token]
