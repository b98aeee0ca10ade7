"""The scan of events says the same as parsing every one of them, whatever is in them and wherever they are cut."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.client.sse import EventScan
from tests.support import vllm_wire

TRAPS = [
    "",
    '"',
    "\\",
    '\\"',
    '"content":""',
    '","content":"',
    '"usage":{"completion_tokens":5}',
    '"}}],"error":"',
    "usage",
    "[DONE]",
    "data: [DONE]",
    "\n\n",
    "\r\n",
    "é\u2028",
    "\U0001f600",
    "\x00",
    "\N{DOWN TACK}",
    " tide",
]
TEXT = st.one_of(st.sampled_from(TRAPS), st.lists(st.sampled_from(TRAPS), max_size=3).map("".join), st.text(max_size=8))
CALLS = st.sampled_from([[], [{"index": 0, "function": {"arguments": '{"content":"x"}'}}]])
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.none() | TEXT,
        "reasoning": st.none() | TEXT,
        "reasoning_content": TEXT,
        "refusal": st.none(),
        "tool_calls": CALLS,
    },
)
COUNT = st.integers(0, 3)
USAGE = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT},
    optional={"prompt_tokens_details": st.none() | st.fixed_dictionaries({"cached_tokens": COUNT})},
)
LOGPROBS = st.sampled_from([None, {"content": [{"token": "content", "content": "x"}]}])
CHOICE = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1]), "delta": DELTA},
    optional={"logprobs": LOGPROBS, "finish_reason": st.sampled_from([None, "stop"]), "content": st.just("decoy")},
)
PAYLOAD = st.fixed_dictionaries(
    {"id": st.just("c"), "choices": st.lists(CHOICE, max_size=2) | st.lists(CHOICE, min_size=1, max_size=1)},
    optional={"usage": USAGE, "error": st.sampled_from([None, {"message": "no"}])},
)


def alike(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    """As most events of a stream are: they differ in the text alone."""
    return {"id": "c", **more, "choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}]}


def twice(first: str, second: str) -> dict[str, Any]:
    """Begins and ends as one of them does."""
    return {"id": "c", "choices": [*alike(first)["choices"], *alike(second)["choices"]]}


def short(text: str) -> dict[str, Any]:
    """Begins as one of them does, ends sooner."""
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}


LONG = TEXT.map(lambda text: text * 20)
SAME = st.sampled_from(["a", "b", ""])
PLAIN = st.one_of(
    TEXT.map(alike),
    TEXT.map(alike),
    LONG.map(short),
    st.builds(twice, SAME, SAME),
    st.builds(alike, TEXT, st.just(1)),
    st.builds(alike, SAME, content=SAME),
    st.builds(alike, SAME, logprobs=st.just({"content": "a"})),
)
EVENTS = st.lists(
    st.one_of(PLAIN, PLAIN, PAYLOAD, st.sampled_from([": beat", "[DONE]", "{oops", "5", "null", "event: x", "[]"])),
    max_size=12,
)


@dataclass
class Parsed:
    """What a scan must find, by parsing everything."""

    chunks: list[int] = field(default_factory=list)
    """The numbers of the events with tokens."""
    text: str = ""
    usage: tuple[int, int, int] = (-1, -1, -1)
    first_tokens: int = 1
    done: bool = False
    faults: list[str] = field(default_factory=list)


def parsed(events: list[Any]) -> Parsed:
    found = Parsed()
    for number, event in enumerate(events):
        if event == "[DONE]":
            found.done = True
        elif event in ("{oops", "5", "null", "[]"):
            found.faults.append("bad_event")
        elif isinstance(event, dict) and event.get("error"):
            found.faults.append("error_event")
        elif isinstance(event, dict):
            _parse(found, number, event)
    return found


def _parse(found: Parsed, number: int, event: dict[str, Any]) -> None:
    usage = event.get("usage")
    if usage:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", -1)
        found.usage = usage["prompt_tokens"], usage["completion_tokens"], cached
    deltas = [choice["delta"] for choice in event["choices"]]
    names = "content", "reasoning", "reasoning_content", "tool_calls"
    if any(delta.get(name) for delta in deltas for name in names):
        if usage and not found.chunks:
            found.first_tokens = max(1, usage["completion_tokens"])
        found.chunks.append(number)
        found.text += "".join(c["delta"].get("content") or "" for c in event["choices"] if c["index"] == 0)


def wire(event: Any, ascii_only: bool, tight: bool, ending: bytes) -> bytes:
    if isinstance(event, str) and event.startswith((":", "event")):
        return event.encode() + ending
    spaces = (",", ":") if tight else None
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=ascii_only, separators=spaces)
    return (b"data:" if tight else b"data: ") + data.encode() + ending


def scanned(parts: list[bytes]) -> EventScan:
    """Each part is read at its number."""
    scan = EventScan(keep_text=True)
    for number, part in enumerate(parts):
        scan.feed(part, float(number))
    scan.end(float(len(parts)))
    return scan


def assert_same(scan: EventScan, wanted: Parsed) -> None:
    usage = scan.usage.prompt_tokens, scan.usage.output_tokens, scan.usage.cached_tokens
    assert (scan.chunks, scan.text(), usage) == (len(wanted.chunks), wanted.text, wanted.usage)
    assert (scan.first_tokens, scan.done) == (wanted.first_tokens, wanted.done)
    assert bool(scan.fault) == bool(wanted.faults)
    if "error_event" in wanted.faults:
        assert scan.fault == "error_event"


@settings(max_examples=400, deadline=None)
@given(EVENTS, st.booleans(), st.booleans(), st.sampled_from([b"\n\n", b"\r\n\r\n"]))
def test_a_scan_equals_parsing_every_event(events: list[Any], ascii_only: bool, tight: bool, ending: bytes) -> None:
    scan, wanted = scanned([wire(event, ascii_only, tight, ending) for event in events]), parsed(events)
    assert_same(scan, wanted)
    if wanted.chunks:
        gaps = [later - sooner for sooner, later in pairwise(wanted.chunks)]
        assert (scan.first, scan.last) == (wanted.chunks[0], wanted.chunks[-1])
        assert scan.stall == max(gaps, default=0)
    else:
        assert math.isnan(scan.first)
        assert math.isnan(scan.last)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.booleans(), st.sampled_from([b"\n\n", b"\r\n\r\n"]), st.lists(st.integers(0, 3000), max_size=9))
def test_it_does_so_wherever_the_body_is_cut(events: list[Any], tight: bool, ending: bytes, cuts: list[int]) -> None:
    body = b"".join(wire(event, False, tight, ending) for event in events)
    ends = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    parts = [body[start:end] for start, end in pairwise(ends)]
    assert_same(scanned(parts), parsed(events))


@pytest.mark.parametrize(
    "options", [{}, {"include_usage": True}, {"include_usage": True, "continuous_usage_stats": True}]
)
@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_what_vllm_writes_is_understood(options: dict[str, bool], size: int) -> None:
    tokens = ("Hello", ", ", '"world"', "\n", "\\")
    answer = vllm_wire.Answer("c", "tiny", tokens)
    body = b"".join(vllm_wire.chat_events(answer, {"stream_options": options}))
    scan = scanned([body[at : at + size] for at in range(0, len(body), size)])
    assert (scan.text(), scan.chunks, scan.done, scan.fault) == ("".join(tokens), 5, True, "")
    assert scan.usage.output_tokens == (5 if options else -1)


def test_a_text_without_its_end_is_no_token() -> None:
    whole = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    scan = scanned([whole, whole.replace(b'"a"', b'"a\\"')])
    assert (scan.chunks, scan.fault) == (1, "bad_event")


@pytest.mark.parametrize("body", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data: [DONE]\n\n\n\n"])
def test_the_last_event_needs_no_blank_line(body: bytes) -> None:
    assert scanned([body]).done


def test_half_a_surrogate_pair_is_no_fault_and_its_text_can_be_sent() -> None:
    whole = scanned([b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % half for half in (b"\\ud83d", b"\\ude00")])
    half = scanned([b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n'])
    assert (whole.chunks, whole.text(), whole.fault) == (2, "\U0001f600", "")
    assert (half.chunks, half.text()) == (1, "a\ufffd")
    half.text().encode()


def test_most_tokens_are_counted_without_being_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    from loadtest.client import payload

    parses: list[bytes] = []
    read = payload.read
    monkeypatch.setattr(payload, "read", lambda data: parses.append(data) or read(data))
    tokens = tuple(f" t{number}" for number in range(500))
    scan = scanned(list(vllm_wire.chat_events(vllm_wire.Answer("c", "tiny", tokens), {})))
    assert scan.chunks == 500
    assert len(parses) < 10
