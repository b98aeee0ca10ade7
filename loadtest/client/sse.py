"""Finds tokens, usage, errors and the end in a stream of server-sent events; it knows no socket and no clock.

Most events of a stream differ in the token alone. Once one of them has been parsed, its bytes around the token are a
`Frame`, and an event within that frame holds a token without being parsed: whatever does not fit exactly is parsed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loadtest.client import payload
from loadtest.client.payload import NO_USAGE, TEXTS, Usage

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_TEXT_FIELD = re.compile(rb'"(%s)"\s*:\s*"((?:[^"\\]|\\.)+)"' % "|".join(TEXTS).encode())
_DONE = b"[DONE]"
_MARK = "\N{DOWN TACK}"
_FRAMES = 4
"""How many frames a stream may try: one that needs more has no frame, such as one with log probabilities."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of an event before and after the text of its one delta; `content`: the text is the answer's own."""

    before: bytes
    after: bytes
    content: bool


_NO_FRAME = Frame(b"\n\n", b"\n\n", False)
"""No event holds a blank line."""


class EventScan:
    """Feed it the body as it comes. Times are those of the reads, NaN before there are any."""

    def __init__(self, keep_text: bool = False) -> None:
        self.first = self.last = math.nan
        self.stall = 0.0
        self.chunks = 0
        self.first_tokens = 1
        self.usage: Usage = NO_USAGE
        self.done = False
        self.fault = ""
        """error_event or bad_event; empty where there was neither."""
        self._keep_text = keep_text
        self._texts: list[bytes] = []
        self._rest = b""
        self._frame, self._tried = _NO_FRAME, 0

    def feed(self, part: bytes, now: float) -> None:
        """`part` is cut anywhere; all its events came at `now`."""
        if self._rest:
            part = self._rest + part
        *events, self._rest = _BLANK_LINE.split(part) if b"\r" in part else part.split(b"\n\n")
        for event in events:
            frame = self._frame
            if event.startswith(frame.before) and event.endswith(frame.after):
                token = event[len(frame.before) : -len(frame.after)]
                # A quotation mark could be the end of the text; a backslash could hide the end.
                if token and b'"' not in token and token[-1:] != b"\\":
                    self._count(now)
                    if self._keep_text and frame.content:
                        self._texts.append(token)
                    continue
            self._parse(event, now)

    def end(self, now: float) -> None:
        """The body is over: an event without its blank line counts too, as some servers end so."""
        if rest := self._rest.strip():
            self._rest = b""
            self.feed(rest + b"\n\n", now)

    def text(self) -> str:
        """The content of the answer so far, with `keep_text`."""
        whole = payload.read(b'"%s"' % b"".join(self._texts))
        # Half a surrogate pair is legal JSON and no text: it could not be sent back.
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(whole, str) else ""

    def _count(self, now: float) -> None:
        if not self.chunks:
            self.first = now
        elif now - self.last > self.stall:
            self.stall = now - self.last
        self.last = now
        self.chunks += 1

    def _parse(self, event: bytes, now: float) -> None:
        data = b"\n".join(_data(event))
        if not data:
            return
        if data == _DONE:
            self.done = True
            return
        said = payload.read(data)
        if not isinstance(said, dict):
            self.fault = self.fault or "bad_event"
        elif payload.is_error(said):
            self.fault = "error_event"
        else:
            self._take(event, said, now)

    def _take(self, event: bytes, said: dict[str, Any], now: float) -> None:
        usage = payload.usage(said)
        self.usage = usage or self.usage
        if not payload.has_tokens(said):
            return
        if usage and not self.chunks:
            self.first_tokens = max(1, usage.output_tokens)
        self._count(now)
        if self._keep_text and (text := payload.text(said)):
            self._texts.append(json.dumps(text)[1:-1].encode())
        if not usage and self._tried < _FRAMES:
            self._frame, self._tried = _frame(event, said) or self._frame, self._tried + 1


def _data(event: bytes) -> Iterator[bytes]:
    for line in event.splitlines():
        if line.startswith(b"data:"):
            yield line[6 if line[5:6] == b" " else 5 :]


def _frame(event: bytes, said: dict[str, Any]) -> Frame | None:
    """Only of an event with one choice, and when another text in the place of its text is read as that text."""
    found = list(payload.choices(said))
    names = payload.texts(found[0].get("delta") or {}) if len(found) == 1 else []
    if not names or found[0].get("index"):
        return None
    for match in _TEXT_FIELD.finditer(event):
        before, after = event[: match.start(2)], event[match.end(2) :]
        if match[1].decode() == names[0] and _reads(before + _MARK.encode() + after, names[0]):
            return Frame(before, after, names[0] == "content")
    return None


def _reads(event: bytes, name: str) -> bool:
    """Whether the mark is the text of the delta's field."""
    said = payload.read(b"\n".join(_data(event)))
    return any((choice.get("delta") or {}).get(name) == _MARK for choice in payload.choices(said or {}))
