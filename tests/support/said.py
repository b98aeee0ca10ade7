"""How a request to keep a turn ended, as its client could tell it from the bytes; it knows no session and no front."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.raw_http import Answer, parsed

# acked    the answer is whole: the turn is kept
# refused  an error says that nothing was kept
# failed   an error says that it could not be done; it may have been
# broken   the connection ended before the answer did, or there was none
# silent   an answer that looks like a success and is none
Outcome = Literal["acked", "refused", "failed", "broken", "silent"]

# Errors of the 4xx kind that do not say that nothing is kept: another request with the same key may keep it.
_OPEN = frozenset({"idempotency_key_in_use", "response_changed"})
# Error events carry no status; these say that nothing is kept.
_REFUSALS = frozenset({"conversation_conflict", "conversation_not_found"})


@dataclass(frozen=True)
class Said:
    """`detail` is the status and the error's code; `text` what the model said, where the answer is whole."""

    outcome: Outcome
    detail: str
    text: str = ""


def of_status(status: int, code: str | None) -> Said:
    """An error answer."""
    is_refused = 400 <= status < 500 and code not in _OPEN
    return Said("refused" if is_refused else "failed", f"{status} {code}")


def of_event(code: str | None) -> Said:
    """An error event in a stream."""
    return Said("refused" if code in _REFUSALS else "failed", f"event {code}")


def of_chat(answer: Answer, *, stream: bool) -> Said:
    """A chat completion's answer as it came off the wire."""
    if answer.status != 200:
        return _error(answer)
    return _stream(answer) if stream else _json(answer)


def _error(answer: Answer) -> Said:
    if answer.end == "cut":
        return Said("broken", f"{answer.status}, cut")
    try:
        return of_status(answer.status, answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return Said("silent", f"{answer.status} without an error object: {answer.body[:200]!r}")


def _json(answer: Answer) -> Said:
    if answer.end == "cut":
        return Said("broken", "200, cut")
    try:
        return Said("acked", "200", answer.json()["choices"][0]["message"]["content"])
    except (ValueError, KeyError, TypeError, IndexError):
        return Said("silent", f"200 without an answer: {answer.body[:200]!r}")


def _stream(answer: Answer) -> Said:
    whole = answer.events if answer.body.endswith(b"\n\n") else answer.events[:-1]
    is_done = b"data: [DONE]\n\n" in whole
    try:
        errors = [event["error"] for event in parsed(whole) if "error" in event]
    except json.JSONDecodeError:
        return Said("silent", f"an event that is not JSON: {answer.body[-300:]!r}")
    if errors:
        return _errors(errors, answer, is_done)
    if is_done:
        return Said("acked", "200", answer.text)
    if answer.end == "cut":
        return Said("broken", "stream, cut")
    return Said("silent", f"a stream that ends cleanly without [DONE]: {answer.body[-300:]!r}")


def _errors(errors: list[dict[str, Any]], answer: Answer, is_done: bool) -> Said:
    if is_done:
        return Said("silent", f"[DONE] beside an error event: {answer.body[-300:]!r}")
    if answer.end == "complete":
        return Said("silent", f"a stream that ends cleanly after an error event: {answer.body[-300:]!r}")
    return of_event(errors[-1].get("code"))
