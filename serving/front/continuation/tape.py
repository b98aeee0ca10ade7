"""What was said so far in one stream, as token ids: taken from an engine's events on their way to the client.

vLLM is asked for the ids of the prompt, with the first event, and of each token. The client gets `null` in their place,
which is what an engine sends that was not asked. JSON escapes quotes inside strings, so generated text cannot imitate
what is looked for.
"""

from __future__ import annotations

from serving.front.dialect import CHAT, Route

_TOKENS, _PROMPT = b'"token_ids":[', b'"prompt_token_ids":['
_KEY_SIZE = len(_TOKENS) - 1
# Behind it stands the text that an event adds. An event without any says so; one with neither says something else.
_CHAT_TEXT, _CHAT_SILENCE, _TEXT = b'"delta":{"content":"', b'"delta":{}', b'"text":"'
_QUOTE = ord('"')
_MORE = b'"finish_reason":null'
# A stream whose ids take more cannot go on.
_MOST_BYTES = 1024 * 1024


class Tape:
    """`head` is the stream's first event, empty until it came."""

    __slots__ = ("_hushed", "_is_chat", "_prompt", "_said", "_spoken", "_spoken_from", "_text", "head", "is_plain")

    def __init__(self, route: Route) -> None:
        self.head = b""
        # Nothing but text was said so far, and all of it is on the tape.
        self.is_plain = True
        self._is_chat = route is CHAT
        self._text = _CHAT_TEXT if self._is_chat else _TEXT
        # Decimal ids as they came, and a comma behind those of each event.
        self._prompt = b""
        self._said = bytearray()
        # Where the last event with text begins and ends, and where the last one that had not even an empty text ends.
        self._spoken_from = self._spoken = self._hushed = 0

    def take(self, data: bytes) -> bytes:
        """Record whole events; what the client gets of them."""
        if not self.head:
            data = self._take_head(data)
        at = data.find(_TOKENS)
        if at < 0:
            # Text without ids: an engine hides those of some.
            self.is_plain = self.is_plain and self._text not in data
            return data
        said, text = self._said, self._text
        start, out = 0, b""
        while at >= 0:
            end = data.find(b"]", at)
            if end < 0:
                self._give_up()
                break
            before = len(said)
            said += data[at + _KEY_SIZE + 1 : end]
            said += b","
            found = data.find(text, start, at)
            if found < 0 and (silence := self._silence(data, start, at)) is not None:
                out += data[start : silence.start]
                start = silence.stop
            else:
                if found >= 0 and data[found + len(text)] != _QUOTE:
                    self._spoken_from, self._spoken = before, len(said)
                out += data[start : at + _KEY_SIZE] + b"null"
                start = end + 1
            at = data.find(_TOKENS, start)
        if len(said) > _MOST_BYTES:
            self._give_up()
        return out + data[start:]

    def add(self, ids: list[int], *, is_spoken: bool) -> None:
        """Tokens of a continuation."""
        said = self._said
        before = len(said)
        said += b"".join(b"%d," % token for token in ids)
        if is_spoken:
            self._spoken_from, self._spoken = before, len(said)
        if len(said) > _MOST_BYTES:
            self._give_up()

    @property
    def is_hushed(self) -> bool:
        """Behind the last text there are tokens that said nothing, not even an empty text."""
        return self._hushed > self._spoken > 0

    @property
    def unsaid(self) -> list[int]:
        """Ids behind the last text."""
        return _numbers(self._said[self._spoken :])

    def rewind(self) -> None:
        """Forget tokens behind the last text: a continuation says them again."""
        del self._said[self._spoken :]
        self._hushed = 0

    @property
    def last_size(self) -> int:
        """Tokens of the last event with text. The text of the first one is whole, that of the others may not be."""
        return self._said.count(b",", self._spoken_from, self._spoken)

    def drop_last(self) -> None:
        """Forget one token more."""
        del self._said[self._said.rfind(b",", 0, self._spoken - 1) + 1 :]
        self._spoken = len(self._said)

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
            data = before + _PROMPT[:-1] + b"null" + rest
        if not found or len(self._prompt) > _MOST_BYTES:
            self._prompt = b""
            self.is_plain = False
        # One that ends its lines otherwise comes alone.
        end = data.find(b"\n\n")
        self.head = data if end < 0 else data[: end + 2]
        return data

    def _silence(self, data: bytes, start: int, at: int) -> slice | None:
        """Of the event without text whose ids are `at`: where it is, if an engine sends it for its ids only.

        A parser has taken its tokens in. Any other event without text says something that is not text.
        """
        said_at = data.find(_CHAT_SILENCE, start, at) if self._is_chat else -1
        if said_at < 0:
            self.is_plain = False
            return None
        is_last = data.find(_MORE, said_at, at) < 0
        self._hushed = 0 if is_last else len(self._said)
        end = data.find(b"\n\n", at) + 2
        if is_last or end < 2:
            return None
        begin = data.rfind(b"\n\n", start, at)
        return slice(begin + 2 if begin >= 0 else start, end)

    def _give_up(self) -> None:
        self.is_plain = False
        self._said.clear()
        self._spoken_from = self._spoken = self._hushed = 0


def _numbers(ids: bytes | bytearray) -> list[int]:
    return [int(token) for token in ids.split(b",") if token]
