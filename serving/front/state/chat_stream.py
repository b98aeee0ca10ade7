"""The chunks of a streamed chat completion become the `chat.completion` that the same request gets without streaming.

It knows the wire format only. A run of plain chunks, which differ in nothing but their text, is read by its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

Object = dict[str, Any]

_DONE = b"[DONE]"
_PLAIN_KEYS = ("content", "reasoning", "reasoning_content")
# What a choice of a chunk says once; the rest of it is merged.
_MERGED = frozenset({"index", "delta", "logprobs", "token_ids"})


class _Shape(NamedTuple):
    """What plain chunks of one text have in common: the bytes before and after it."""

    head: bytes
    tail: bytes
    key: str
    choice: int


# No event of JSON begins with this byte.
_NO_SHAPE = _Shape(b"\xff", b"\xff", "", 0)


def assemble(body: bytes) -> tuple[Object, bool]:
    """The completion, and whether it is whole: without an end of every choice, or with an error in it, it is not."""
    stream = _Stream()
    shape, run = _NO_SHAPE, list[bytes]()
    head, tail, start, end = shape.head, shape.tail, 0, 0
    for event in _events(body):
        if event.startswith(head) and event.endswith(tail):
            run.append(event[start:end])
        else:
            stream.add_run(shape, run)
            shape, run = stream.add(event), []
            head, tail, start, end = shape.head, shape.tail, len(shape.head), -len(shape.tail)
    stream.add_run(shape, run)
    return stream.completion()


class _Stream:
    def __init__(self) -> None:
        self._envelope: Object = {}
        self._choices: dict[int, _Choice] = {}
        self._failed = False

    def add_run(self, shape: _Shape, run: list[bytes]) -> None:
        """Plain chunks of this shape, of which `run` has the texts, still escaped."""
        if not run:
            return
        try:
            text = orjson.loads(b'"%b"' % b"".join(run))
        except orjson.JSONDecodeError:
            # In one of them more than a text stood between head and tail.
            for piece in run:
                self.add(shape.head + piece + shape.tail)
        else:
            self._choices[shape.choice].texts.setdefault(shape.key, []).append(text)

    def add(self, event: bytes) -> _Shape:
        """Any event; one that is malformed, such as the torn last one, is left out. Returns its shape."""
        payload = _payload(event)
        if not payload or payload == _DONE:
            return _NO_SHAPE
        try:
            chunk = orjson.loads(payload)
            self._merge(chunk)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return _NO_SHAPE
        return _shape_of(event, chunk)

    def completion(self) -> tuple[Object, bool]:
        choices = [choice.said(index) for index, choice in sorted(self._choices.items())]
        whole = bool(choices) and not self._failed and all(choice["finish_reason"] for choice in choices)
        completion = {**self._envelope, "object": "chat.completion", "choices": choices}
        return {**completion, "usage": self._envelope.get("usage")}, whole

    def _merge(self, chunk: Object) -> None:
        if chunk.get("error") is not None:
            self._failed = True
            return
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._envelope[name] = value
        for choice in chunk.get("choices") or ():
            self._choices.setdefault(choice.get("index", 0), _Choice()).merge(choice)


class _Choice:
    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self._calls: dict[int, _Call] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._rest: Object = {}
        self._message: Object = {"role": "assistant", "content": None}

    def merge(self, choice: Object) -> None:
        delta = choice.get("delta") or {}
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value or ():
                    self._calls.setdefault(call.get("index", 0), _Call()).merge(call)
            elif name != "role" and isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self._message[name] = value
        for name, entries in (choice.get("logprobs") or {}).items():
            self._logprobs.setdefault(name, []).extend(entries or ())
        for name, value in choice.items():
            if name not in _MERGED and (value is not None or name not in self._rest):
                self._rest[name] = value

    def said(self, index: int) -> Object:
        """The choice; where it has no end, tool calls without their whole arguments are left out."""
        texts = {name: "".join(pieces) for name, pieces in self.texts.items()}
        message = {**self._message, **{name: text for name, text in texts.items() if text or name == "content"}}
        ended = self._rest.get("finish_reason") is not None
        calls = [call.said() for _, call in sorted(self._calls.items())]
        calls = [call for call in calls if ended or is_whole_call(call["function"])]
        if calls:
            message["tool_calls"] = calls
            message["content"] = message["content"] or None
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs or None,
            "finish_reason": None,
            **self._rest,
        }


class _Call:
    def __init__(self) -> None:
        self._call: Object = {}
        self._name = ""
        self._arguments: list[str] = []

    def merge(self, delta: Object) -> None:
        function = delta.get("function") or {}
        # A name comes whole, from some engines with every piece of the arguments.
        self._name = function.get("name") or self._name
        self._arguments.append(function.get("arguments") or "")
        said = (name for name in ("id", "type") if delta.get(name))
        self._call.update({name: delta[name] for name in said})

    def said(self) -> Object:
        return {
            "type": "function",
            **self._call,
            "function": {"name": self._name, "arguments": "".join(self._arguments)},
        }


def is_whole_call(function: Object) -> bool:
    """Its arguments are whole."""
    try:
        orjson.loads(function["arguments"])
    except orjson.JSONDecodeError:
        return False
    return True


def _shape_of(event: bytes, chunk: Object) -> _Shape:
    """The shape of a plain chunk: one choice, one text, and nothing else that is said."""
    choices = chunk.get("choices") or []
    if len(choices) != 1 or chunk.get("usage") or choices[0].get("logprobs") or choices[0].get("finish_reason"):
        return _NO_SHAPE
    delta = choices[0].get("delta") or {}
    if len(delta) != 1 or (key := next(iter(delta))) not in _PLAIN_KEYS or not isinstance(delta[key], str):
        return _NO_SHAPE
    marker = b'"delta":{"%b":"' % key.encode()
    before, _, rest = event.partition(marker)
    # Quotes in a text are escaped, so neither can occur in one.
    _, end, after = rest.rpartition(b'"},"')
    if not end or choices[0].get("token_ids"):
        return _NO_SHAPE
    return _Shape(before + marker, end + after, key, choices[0].get("index", 0))


def _events(body: bytes) -> Iterator[bytes]:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    return iter(body.split(b"\n\n"))


def _payload(event: bytes) -> bytes:
    """The data of an event; of a comment there is none."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
