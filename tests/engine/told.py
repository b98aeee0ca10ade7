"""What a stream told its client, without what differs from stream to stream: its id, its time, how often it paused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.front_process import Front
from tests.support.raw_http import Answer, Wire, request

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
# A tiny random model repeats one token otherwise.
GREEDY = {"model": "tiny", "stream": True, "temperature": 0, "repetition_penalty": 1.3}
USAGE = {"stream_options": {"include_usage": True}}

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class Told(NamedTuple):
    """`shapes` are the fields of events, in their order, and of choices; `usages` are counts, as `_COUNTS`."""

    text: str
    finishes: list[tuple[str, Any]]
    usages: list[list[int]]
    shapes: set[tuple[str, ...]]


def ask(front: Front, path: str, body: dict[str, Any], timeout: float = 60) -> Answer:
    """One request to the front, as bytes."""
    with Wire(front.address, timeout=timeout) as wire:
        return wire.send(request(path, body, key=front.key)).answer()


def told(answer: Answer) -> Told:
    """Of a stream that is one: whole, of one id, with one end."""
    assert (answer.status, answer.end) == (200, "complete"), answer.body
    *said, done = answer.events
    assert done == b"data: [DONE]\n\n"
    events = [json.loads(event.removeprefix(b"data: ")) for event in said]
    assert len({(event["id"], event["object"], event["created"], event["model"]) for event in events}) == 1
    choices = [choice for event in events for choice in event["choices"]]
    return Told(
        text="".join(_text(choice) for choice in choices),
        finishes=[(choice["finish_reason"], choice["stop_reason"]) for choice in choices if choice["finish_reason"]],
        usages=[[event["usage"][name] for name in _COUNTS] for event in events if event.get("usage")],
        shapes=set(_shapes(events)),
    )


def _text(choice: dict[str, Any]) -> str:
    return choice["text"] if "text" in choice else choice["delta"].get("content") or ""


def _shapes(events: list[Any]) -> Iterator[tuple[str, ...]]:
    for event in events:
        # Known to the engine alone, which may be gone by the time that it is said.
        yield tuple(name for name in event if name != "system_fingerprint")
        # Not those of deltas: vLLM leaves an empty content out where it has a parser.
        yield from (tuple(choice) for choice in event["choices"])
