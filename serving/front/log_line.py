"""What the log says of one request: its names, times and counts; never prompt text."""

from __future__ import annotations

from typing import Any

from serving.errors import RequestError
from serving.front.entry import Entry
from serving.front.relay import Outcome

_ID_LENGTH = 128
_STEPS = ("auth", "request", "budget", "session", "route", "attempt", "relay")


def of(
    entry: Entry, outcome: Outcome | None, error: RequestError | None, ended_at: float, now: float
) -> dict[str, Any]:
    """`ended_at` is monotonic seconds, `now` seconds since the epoch."""
    arrived, caller, request = entry.arrived, entry.caller, entry.request
    usage = outcome.usage if outcome else None
    streamed = request is not None and request.stream and outcome is not None and outcome.events > 0
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
        "status": error.status if error else 200,
        "error_type": error.code or error.type if error else None,
        "finish": outcome.finish if outcome else None,
        "ttft_seconds": _rounded(outcome.first_at - arrived.at) if streamed and outcome else None,
        "duration_seconds": _rounded(ended_at - arrived.at),
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
    for step in _STEPS:
        at = getattr(entry, f"{step}_at")
        if at:
            durations[step] = _rounded(at - before)
            before = at
    return durations


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _text(value: bytes | None) -> str | None:
    return value[:_ID_LENGTH].decode("latin-1") if value else None
