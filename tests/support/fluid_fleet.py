"""A fleet without queues at engines: each replica serves so many requests a second, the rest waits in one line.

For tests of what scales a fleet; what a vLLM replica does is the kernel's.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from autoscale.simulate.fleet import TTFT_EDGES, Requests, Results, Sample


class FluidFleet:
    """First come, first served at `rate` requests per second and replica; a draining replica is gone at once."""

    def __init__(self, requests: Requests, rate: float = 10.0, idle_ttft_seconds: float = 0.1) -> None:
        self._requests, self._rate, self._idle = requests, rate, idle_ttft_seconds
        self._now, self._credit, self._next, self.replicas = 0.0, 0.0, 0, 0
        self._line: deque[int] = deque()
        self._ttft = np.full(len(requests.at_seconds), np.nan)
        self._prompts = np.concatenate([[0.0], np.cumsum(requests.prompt_tokens)])
        self._outputs = np.concatenate([[0.0], np.cumsum(requests.output_tokens)])
        self._counts = np.zeros(len(TTFT_EDGES) + 1, np.int64)
        self.drained = self.failed = 0

    def advance(self, until: float) -> None:
        while self._now < until:
            step = min(0.1, until - self._now)
            self._now += step
            while self._next < len(self._ttft) and self._requests.at_seconds[self._next] <= self._now:
                self._line.append(self._next)
                self._next += 1
            self._credit = min(self._credit + self._rate * self.replicas * step, max(1.0, self._rate * self.replicas))
            while self._line and self._credit >= 1:
                self._credit -= 1
                self._serve(self._line.popleft())

    def _serve(self, which: int) -> None:
        self._ttft[which] = self._now - self._requests.at_seconds[which] + self._idle
        self._counts[np.searchsorted(TTFT_EDGES, self._ttft[which])] += 1

    def add(self, count: int) -> None:
        self.replicas += count

    def drain(self, count: int) -> None:
        self.replicas -= count
        self.drained += count

    def fail(self, count: int) -> None:
        self.replicas -= count
        self.failed += count

    def busy_replicas(self) -> int:
        return self.replicas

    def sample(self) -> Sample:
        arrived, line = self._next, list(self._line)
        served = int(self._counts.sum())
        return Sample(
            at=self._now,
            offered_prefill_tokens=float(self._prompts[arrived]),
            offered_decode_tokens=float(self._outputs[arrived]),
            queued_prefill_tokens=float(self._requests.prompt_tokens[line].sum()),
            queued_decode_tokens=float(self._requests.output_tokens[line].sum()),
            waiting=len(line),
            oldest_wait_seconds=self._now - self._requests.at_seconds[line[0]] if line else 0.0,
            arrived=arrived,
            rejected=0,
            slo_good=int(self._counts[: TTFT_EDGES.index(0.5) + 1].sum()),
            slo_total=served,
            ttft_counts=self._counts.copy(),
            tpot_over=0,
            prefilled_tokens=0.0,
            generated_tokens=0.0,
            running=0,
            engine_waiting=len(line),
            kv_usage=0.3,
            ready=self.replicas,
        )

    def results(self) -> Results:
        nothing = np.zeros(len(self._ttft), bool)
        return Results(self._ttft, np.where(np.isnan(self._ttft), np.nan, 0.02), nothing)
