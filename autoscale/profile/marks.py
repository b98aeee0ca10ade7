"""What the tokens of a run's streams show when they arrive: seconds per token, or that nothing can be told."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from autoscale.profile.runs import Point, Run

# Of each stream's tokens, the share that must fall into the time in which all streams decode.
_TOGETHER = 0.25
_STEADY = 0.5
# No engine makes a token in less: tokens that arrived closer together had been held back.
_LEAST_TOKEN_SECONDS = 1e-4


class Mark(NamedTuple):
    """When a stream had how many tokens."""

    at: float
    tokens: int


class ProfileError(Exception):
    """The engine cannot be profiled; the message says why."""


class ApartError(ProfileError):
    """The streams of a run hardly overlapped, or were held back on their way."""


def decoded(run: Run, streams: Sequence[Sequence[Mark]]) -> Point:
    """Seconds per token, mean over the streams, while all decode. Raises `ApartError` where they did not tell it."""
    steady = _steady(streams)
    if 2 * len(steady) < len(streams) or not steady:
        raise ApartError(_apart(run))
    begin, end = max(marks[0].at for marks in steady), min(marks[-1].at for marks in steady)
    gaps, held = [], []
    for marks in steady:
        within = [mark for mark in marks if begin <= mark.at <= end]
        tokens = within[-1].tokens - within[0].tokens if within else 0
        if tokens < _TOGETHER * run.output_tokens:
            raise ApartError(_apart(run))
        gaps.append((within[-1].at - within[0].at) / tokens)
        held.append(run.prompt_tokens + (within[-1].tokens + within[0].tokens) / 2)
    return Point(run, statistics.fmean(gaps), run.streams * statistics.fmean(held))


def _steady(streams: Sequence[Sequence[Mark]]) -> list[Sequence[Mark]]:
    """All decode at one pace: a stream that is far shorter than the longest was held back and came in one burst.

    So was one that is shorter than its tokens can be.
    """
    spans = [(marks, marks[-1].at - marks[0].at) for marks in streams]
    longest = max(span for _, span in spans)
    return [
        marks
        for marks, span in spans
        if span >= _STEADY * longest and span >= _LEAST_TOKEN_SECONDS * (marks[-1].tokens - marks[0].tokens)
    ]


def _apart(run: Run) -> str:
    return (
        f"{run.streams} streams did not decode together, or came in bursts: does somebody else use the engine, or its"
        " machine? Profile it when both are free"
    )
