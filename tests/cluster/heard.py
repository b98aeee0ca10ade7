"""One streamed answer as its reader gets it, and whether it is the undisturbed one; it knows no connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True)
class Undisturbed:
    """What the answer is where nothing breaks."""

    text: str
    prompt_tokens: int
    output_tokens: int

    @property
    def usage(self) -> dict[str, int]:
        total = self.prompt_tokens + self.output_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": total,
            "completion_tokens": self.output_tokens,
        }


@dataclass
class Heard:
    """Fed with the lines of one answer. `silence_seconds` is the longest time between two events.

    `names` are what must be the same in all events; one that `goes_on` says something behind its [DONE].
    """

    began: float = field(default_factory=time.monotonic)
    first_seconds: float | None = None
    silence_seconds: float = 0.0
    text: str = ""
    names: set[tuple[Any, ...]] = field(default_factory=set)
    usages: list[dict[str, int]] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    failed: bool = False
    done: bool = False
    goes_on: bool = False
    _last: float = 0.0

    def take(self, line: bytes) -> None:
        """The next line; one that is no event says nothing."""
        if not line.startswith(b"data:"):
            return
        now = time.monotonic()
        if self.first_seconds is None:
            self.first_seconds = now - self.began
        else:
            self.silence_seconds = max(self.silence_seconds, now - self._last)
        self._last = now
        content = line[5:].strip()
        if self.done or content == b"[DONE]":
            self.done, self.goes_on = True, self.done
            return
        self._hear(orjson.loads(content))

    def ended(self, right: Undisturbed) -> str:
        """`whole`, `wrong` (an end, of another answer), `error_event`, `cut` (no end), or `lost` before it began."""
        if self.failed:
            return "error_event"
        if not self.done:
            return "lost" if self.first_seconds is None else "cut"
        said, known = (self.text, self.usages, self.finishes), (right.text, [right.usage], ["length"])
        return "whole" if said == known and len(self.names) == 1 and not self.goes_on else "wrong"

    def _hear(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.failed = True
            return
        self.names.add((chunk["id"], chunk["object"], chunk["created"], chunk["model"]))
        if chunk.get("usage"):
            self.usages.append(chunk["usage"])
        for choice in chunk["choices"]:
            self.text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                self.finishes.append(choice["finish_reason"])
