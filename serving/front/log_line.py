"""What the log says of one request: its names, times and counts; never prompt text."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from serving.front.entry import Entry
from serving.front.slo import Ended

_ID_LENGTH = 128
_STEPS = ("auth", "request", "budget", "session", "route", "attempt", "relay")
_ends_of = attrgetter(*(f"{step}_at" for step in _STEPS))


def of(entry: Entry, ended: Ended, now: float) -> dict[str, Any]:
    """`now` is seconds since the epoch."""
    arrived, caller, request, outcome, error = entry.arrived, entry.caller, entry.request, ended.outcome, ended.error
    usage = outcome.usage if outcome else None
    streamed = ended.stream and outcome is not None and outcome.events > 0
    return {
        "time": now,
        "request_id": arrived.id,
        "client_request_id": _text(arrived.headers.get(b"x-request-id")),
        "route": arrived.route.path,
        "team": caller.team if caller else None,
        "key": caller.key_shown if caller else None,
        "model": request.model[:_ID_LENGTH] if request else None,
        "slo_class": entry.slo_class,
        "stream": request.stream if request else None,
        "engine": entry.endpoint.id if entry.endpoint else None,
        "attempts": entry.attempts,
        "continuations": entry.continuations,
        "status": error.status if error else 200,
        "error_type": error.code or error.type if error else None,
        "finish": outcome.finish if outcome else None,
        "ttft_seconds": _rounded(outcome.first_at - ended.at) if streamed and outcome else None,
        "duration_seconds": _rounded(ended.ended_at - ended.at),
        "held_seconds": _rounded(entry.held_seconds),
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "cached_tokens": usage.cached_tokens if usage else None,
        "output_tokens": outcome.output_tokens if outcome else None,
        "session": request.keep.session if request and request.keep else None,
        "history": entry.history_source,
        "commit_seconds": _rounded(entry.commit_seconds) if entry.commit_seconds is not None else None,
        "steps_seconds": _durations(entry),
    }


def _durations(entry: Entry) -> dict[str, float]:
    durations, before = {}, entry.arrived.at
    for step, at in zip(_STEPS, _ends_of(entry), strict=True):
        if at:
            durations[step] = _rounded(at - before)
            before = at
    return durations


def _rounded(seconds: float) -> float:
    # To microseconds; as an integer that costs a third of `round(seconds, 6)`.
    return round(seconds * 1e6) / 1e6


def _text(value: bytes | None) -> str | None:
    return value[:_ID_LENGTH].decode("latin-1") if value else None
