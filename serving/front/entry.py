"""One request's page in the ledger: what the flow writes down as it goes; it counts nothing."""

from __future__ import annotations

from collections.abc import Callable

from serving.errors import RequestError
from serving.front.auth import Caller
from serving.front.demand import Offer
from serving.front.relay import Outcome
from serving.front.route import Endpoint
from serving.front.wire import Arrived, GenerationRequest
from serving.metrics import Continuation


class Entry:
    """Written by the flow, read by nobody but the ledger."""

    caller: Caller | None = None
    request: GenerationRequest | None = None
    slo_class: str | None = None
    offer: Offer | None = None
    endpoint: Endpoint | None = None
    attempts = 0
    broken = 0
    # What became of each break in the middle of the stream.
    continuations: tuple[Continuation, ...] = ()
    # How long it waited because no engine was ready.
    held_seconds = 0.0
    outcome: Callable[[], Outcome] | None = None
    error: RequestError | None = None
    # How long the end of the answer waited for the durable store.
    commit_seconds: float | None = None
    history_source = "none"
    # When each step ended, monotonic seconds.
    auth_at = 0.0
    request_at = 0.0
    budget_at = 0.0
    session_at = 0.0
    route_at = 0.0
    attempt_at = 0.0
    relay_at = 0.0

    def __init__(self, arrived: Arrived) -> None:
        self.arrived = arrived
        self.attempt_outcomes: list[tuple[str, str]] = []

    def sent(self, endpoint: Endpoint) -> None:
        self.attempts += 1
        self.endpoint = endpoint

    def came_back(self, outcome: str) -> None:
        if self.endpoint is not None:
            self.attempt_outcomes.append((self.endpoint.id, outcome))

    @property
    def has_begun(self) -> bool:
        return self.outcome is not None

    @property
    def phase(self) -> str:
        """Where the request was when it ended."""
        if self.outcome is not None:
            return "relay"
        return "attempt" if self.route_at else "before_attempt"
