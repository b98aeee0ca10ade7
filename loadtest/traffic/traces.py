"""Recorded traffic from a file, whatever its format: told by its first line; it knows no schedule.

Formats: the Azure LLM inference traces (CSV), Mooncake's (JSON lines), and the request log of a Tidegate front.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.traffic.blocks import grouped
from loadtest.traffic.columns import Floats, Ints

_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_EXPECTED = (
    f"expected an Azure CSV header ({','.join(_AZURE)}), Mooncake JSON lines (timestamp, input_length, "
    "output_length, hash_ids) or a Tidegate front's request log (time, duration_seconds, prompt_tokens, output_tokens)"
)


class TraceError(ValueError):
    """A trace that cannot be read; the text names file and line, and what is expected."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests by arrival, the first at 0 seconds. All have shape (requests,)."""

    at_seconds: Floats
    input_tokens: Ints
    """Of the whole prompt: prefix and history are part of it."""
    output_tokens: Ints
    answer_seconds: Floats
    """From arrival to the answer's end; NaN where the trace does not tell."""
    session: Ints
    """Equal for the requests of one conversation; -1 for a request of none."""
    prefix: Ints
    """Equal for equal shared prefixes; -1 none. Only what a conversation's first request has is meant."""
    prefix_tokens: Ints
    skipped: int = 0
    """Lines of a front's log that are no generation of known length: refused requests, embeddings."""

    @property
    def rate(self) -> float:
        """Mean requests per second; 0 where all came at once."""
        gaps, span = len(self.at_seconds) - 1, float(self.at_seconds[-1])
        return gaps / span if span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Row:
    at: float
    input_tokens: int
    output_tokens: int
    answer_seconds: float = math.nan
    session: str | None = None
    blocks: tuple[int, ...] = ()


def read(path: Path) -> Trace:
    """The whole file. Raises TraceError where a line is not of the format that the first one has."""
    skipped = 0
    found: list[_Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in _rows(path, enumerate(lines, 1)):
                if row is None:
                    skipped += 1
                else:
                    found.append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read as text: {error}") from error
    if not found:
        raise TraceError(f"{path}: no request in it; {_EXPECTED}")
    found.sort(key=lambda row: row.at)
    return _trace(found, skipped)


def _rows(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[_Row | None]:
    parse: Callable[[str], _Row | None] | None = None
    expected = _EXPECTED
    for number, line in lines:
        if not line.strip():
            continue
        try:
            if parse is None:
                parse, expected, is_header = _format(line)
                if is_header:
                    continue
            yield parse(line)
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise TraceError(f"{path}: line {number}: {_reason(error)}; {expected}") from error


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _format(line: str) -> tuple[Callable[[str], _Row | None], str, bool]:
    """How lines of this file are parsed, what they must hold, and whether this first one is a header."""
    if not line.lstrip().startswith("{"):
        header = next(csv.reader([line.strip()]))
        if missing := [name for name in _AZURE if name not in header]:
            raise ValueError(f"no column {missing[0]}")
        places = tuple(header.index(name) for name in _AZURE)
        return lambda row: _azure(row, places), f"expected a date and two numbers as in {','.join(header)}", True
    keys = json.loads(line).keys()
    if {"timestamp", "input_length"} <= keys:
        return _mooncake, "expected numbers timestamp (ms), input_length, output_length and a list hash_ids", False
    if {"time", "request_id"} <= keys:
        return (
            _front,
            "expected a front's log line: time, duration_seconds, prompt_tokens, output_tokens, session",
            False,
        )
    raise ValueError(f"unknown keys {', '.join(sorted(keys)[:5])}")


def _azure(line: str, places: tuple[int, ...]) -> _Row:
    cells = line.strip().split(",")
    at, inputs, outputs = (cells[place].strip('" ') for place in places)
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _Row(moment.timestamp(), _tokens(int(inputs)), _tokens(int(outputs)))


def _mooncake(line: str) -> _Row:
    fields: dict[str, Any] = json.loads(line)
    blocks = tuple(int(block) for block in fields.get("hash_ids", ()))
    inputs, outputs = _tokens(fields["input_length"]), _tokens(fields["output_length"])
    return _Row(_number(fields["timestamp"]) / 1000, inputs, outputs, blocks=blocks)


def _front(line: str) -> _Row | None:
    """The log tells when a request ended. One without prompt tokens was refused, one without output an embedding."""
    fields: dict[str, Any] = json.loads(line)
    if fields["prompt_tokens"] is None or not fields["output_tokens"]:
        return None
    took = _number(fields["duration_seconds"])
    session = fields.get("session")
    return _Row(
        _number(fields["time"]) - took,
        _tokens(fields["prompt_tokens"]),
        _tokens(fields["output_tokens"]),
        took,
        None if session is None else f"{fields.get('team')}/{session}",
    )


def _tokens(value: int) -> int:
    """A prompt and an answer have one token at least: 0 is how some logs write an answer that broke off."""
    if int(value) != value or value < 0:
        raise ValueError(f"{value} is no count of tokens")
    return max(1, int(value))


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is no time")
    return float(value)


def _trace(found: list[_Row], skipped: int) -> Trace:
    at = np.array([row.at for row in found])
    inputs, outputs = ([getattr(row, name) for row in found] for name in ("input_tokens", "output_tokens"))
    names: dict[str, int] = {}
    sessions = [-1 if row.session is None else names.setdefault(row.session, len(names)) for row in found]
    prefixes, prefix_tokens = [-1] * len(found), [0] * len(found)
    if any(row.blocks for row in found):
        sessions, prefixes, prefix_tokens = grouped([row.blocks for row in found], inputs, outputs)
    whole = (np.array(values, np.int64) for values in (inputs, outputs, sessions, prefixes, prefix_tokens))
    input_tokens, output_tokens, session, prefix, shared = whole
    answers = np.array([row.answer_seconds for row in found])
    return Trace(at - at[0], input_tokens, output_tokens, answers, session, prefix, shared, skipped)
