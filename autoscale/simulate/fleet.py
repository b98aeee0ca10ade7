"""What a simulated fleet is to those who scale it: time goes on, replicas come and go, counters are read.

The kernel (`kernel.py`) is one; a law, a scrape or a cold start is none of its business.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

TTFT_EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper edges of the front's TTFT histogram, seconds; a test holds them equal to serving.metrics."""


class Requests(NamedTuple):
    """A traffic trace, by time. `prefix_tokens` of a prompt are those that the last request of its `group` left cached
    on the replica that it ran on; group -1 shares nothing."""

    at_seconds: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    group: Ints
    prefix_tokens: Ints


class Sample(NamedTuple):
    """The fleet's series at one moment, as a scrape of all fronts and ready engines would have them.

    Counts are cumulative since the start, over all requests that arrived by `at`; tokens, seconds.
    """

    at: float
    offered_prefill_tokens: float
    offered_decode_tokens: float
    queued_prefill_tokens: float
    queued_decode_tokens: float
    waiting: int
    oldest_wait_seconds: float
    arrived: int
    rejected: int
    slo_good: int
    slo_total: int
    ttft_counts: NDArray[np.int64]
    """Per bucket, not cumulative over edges; one more than TTFT_EDGES."""
    tpot_over: int
    """Requests whose TPOT missed the SLO."""
    prefilled_tokens: float
    """By engines, cached ones not counted: what vllm:prompt_tokens less cached is."""
    generated_tokens: float
    running: int
    engine_waiting: int
    kv_usage: float
    """Mean over ready replicas, 0 to 1."""
    ready: int


class Results(NamedTuple):
    """Per request, in the order of arrival; NaN where there was none."""

    ttft_seconds: Floats
    tpot_seconds: Floats
    rejected: NDArray[np.bool_]


class Fleet(Protocol):
    """Replicas are added ready: a cold start is the caller's. Times never go back."""

    def advance(self, until: float) -> None:
        """Simulate up to this time, seconds."""

    def add(self, count: int) -> None:
        """So many more replicas take requests from now on."""

    def drain(self, count: int) -> None:
        """The emptiest so many get no new request, finish theirs and are gone."""

    def fail(self, count: int) -> None:
        """So many at random die now; their requests go elsewhere with the tokens they have, waiting as long as they
        have."""

    def sample(self) -> Sample: ...

    def busy_replicas(self) -> int:
        """Replicas that exist: ready and draining ones. What costs money besides the ones that still start."""

    def results(self) -> Results: ...
