"""The events of a streamed response become the response object; it knows the wire format only.

The last event holds the whole response. Where it is missing, the output is put together from what came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from serving.front.state.chat_stream import is_whole_call

Object = dict[str, Any]

# The engine came to its end: by its own decision, or at the bound of the output.
ENDED = frozenset({"completed", "incomplete"})
# As the types of the last events are written; quotes in a text are escaped, so it cannot hold them.
_LAST = tuple(b'"response.%b"' % status.encode() for status in ENDED)
_PARTS = {"response.output_text.delta": "output_text", "response.reasoning_text.delta": "reasoning_text"}
_ARGUMENTS = "response.function_call_arguments.delta"


def assemble(body: bytes) -> tuple[Object, bool]:
    """The response, and whether the engine ended it; one that broke off has the status `incomplete`."""
    at = max(body.rfind(kind) for kind in _LAST)
    start, end = body.rfind(b"\ndata:", 0, max(at, 0)), body.find(b"\n", at)
    for event in _contents(body[start + 1 : end]) if at >= 0 else ():
        if f'"{event.get("type")}"'.encode() in _LAST and isinstance(event.get("response"), dict):
            return event["response"], True
    return _partial(_contents(body)), False


def _contents(body: bytes) -> Iterator[Object]:
    """The events that are whole; torn and malformed ones are left out."""
    for line in body.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        try:
            content = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            continue
        if isinstance(content, dict):
            yield content


def _partial(events: Iterable[Object]) -> Object:
    response: Object = {"object": "response"}
    output: dict[int, _Item] = {}
    for event in events:
        if isinstance(event.get("response"), dict):
            response = event["response"]
        index = event.get("output_index")
        if isinstance(index, int):
            output.setdefault(index, _Item()).add(event)
    items = [said for _, item in sorted(output.items()) if (said := item.said()) is not None]
    ended = response.get("status") in ("failed", "cancelled")
    return {**response, "status": response["status"] if ended else "incomplete", "output": items}


class _Item:
    """One output item as far as it was streamed."""

    def __init__(self) -> None:
        self._content: Object = {}
        self._is_done = False
        self._parts: dict[int, tuple[str, list[str]]] = {}
        self._arguments: list[str] = []

    def add(self, event: Object) -> None:
        kind, delta = event.get("type"), event.get("delta")
        if kind in ("response.output_item.added", "response.output_item.done") and isinstance(event.get("item"), dict):
            self._content, self._is_done = event["item"], kind == "response.output_item.done"
        elif kind in _PARTS and isinstance(delta, str):
            self._parts.setdefault(event.get("content_index", 0), (_PARTS[kind], []))[1].append(delta)
        elif kind == _ARGUMENTS and isinstance(delta, str):
            self._arguments.append(delta)

    def said(self) -> Object | None:
        """The item; None where nothing of it is of use."""
        kind = self._content.get("type")
        if self._is_done:
            return self._content
        if kind == "function_call":
            call = {**self._content, "arguments": "".join(self._arguments), "status": "completed"}
            return call if is_whole_call(call) else None
        if kind in ("message", "reasoning") and self._parts:
            content = [_part(*part) for _, part in sorted(self._parts.items())]
            return {**self._content, "content": content, "status": "incomplete"}
        return None


def _part(kind: str, pieces: list[str]) -> Object:
    part: Object = {"type": kind, "text": "".join(pieces)}
    return {**part, "annotations": [], "logprobs": []} if kind == "output_text" else part
