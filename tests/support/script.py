"""How the scripted engine shall behave for one request, as a value; it knows no socket.

Event positions count the events of the stream: a fault `at` 0 strikes after the head and before the first event,
`at` k after k events, and BEFORE_HEAD before any byte of the answer. A JSON answer is one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

BEFORE_HEAD = -1

Fault = Literal["rst", "fin", "kill", "hang", "error_event", "done_without_finish", "clean_end", "no_done"]
Framing = Literal["chunked", "close"]


@dataclass(frozen=True)
class Script:
    tokens: Sequence[str] = ("Hello", ", ", "world")
    finish: str = "stop"
    usage: bool = True

    # Time
    head_delay: float = 0.0
    first_delay: float = 0.0
    gap: float = 0.0

    # Instead of an answer, where a status or a body is given
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    # What goes wrong, after how many events, and what bytes come just before. A hang ends by Seen.release().
    fault: Fault | None = None
    at: int = 0
    tail: bytes = b""

    # How a stream is cut: tokens per event of a chat or a completion, events per HTTP chunk, bytes per HTTP chunk,
    # bytes per TCP write, seconds between writes
    tokens_per_event: int = 1
    events_per_write: int = 1
    bytes_per_chunk: int | None = None
    bytes_per_write: int | None = None
    write_gap: float = 0.0005
    framing: Framing = "chunked"

    # What other OpenAI-shaped servers do: CRLF line ends, a comment before the first event
    crlf: bool = False
    comment: bytes = b""

    # The connection after the answer: kept, closed as announced, closed without a word
    close: Literal["keep", "announced", "silent"] = "keep"


def tokens(count: int, size: int = 4) -> tuple[str, ...]:
    """`count` distinct tokens of `size` characters or more."""
    return tuple(f" t{number}".ljust(size, "x") for number in range(count))
