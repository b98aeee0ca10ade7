"""What the client gives for one request it was asked to make; the values between station and wire."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.slo import Fault


@dataclass(frozen=True, slots=True)
class Ask:
    """One chat completion to make. Limits are seconds on the caller's clock, None: wait for ever."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    stream: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """Further body fields, such as `ignore_eos`; they win over ours."""
    first_by: float | None = None
    """When to give up without a first token; of no meaning without `stream`, where the end is the first."""
    end_by: float | None = None
    keep_text: bool = False
    """Whether `Answer.text` is wanted: it costs each event a little."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and when (seconds on the caller's clock; NaN: never). Faults are values here: nothing is raised."""

    fault: Fault
    status: int
    sent: float
    """Just before the connection was looked for, so that connecting is part of TTFT."""
    first: float
    last: float
    ended: float
    stall: float = 0.0
    chunks: int = 0
    first_tokens: int = 1
    """Tokens in the first chunk; without a stream all of them, so that no TPOT is made up."""
    prompt_tokens: int = -1
    output_tokens: int = -1
    cached_tokens: int = -1
    detail: str = ""
    retry_after_seconds: float = math.nan
    text: str = ""
    """The answer, with `keep_text` only, for a client-side history."""
