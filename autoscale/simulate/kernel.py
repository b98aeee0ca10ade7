"""The fast fleet of vLLM replicas: discrete events over closed-form jumps, in compiled code.

It knows an engine's profile, a trace and what the front does before engines; no law, no scrape, no cold start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.simulate import kernel_events, kernel_reading, kernel_size
from autoscale.simulate.fleet import Floats, Requests, Results, Sample
from autoscale.simulate.state import DONE, GONE, LIMITS, REJECTED, Records, fresh, grown
from loadtest.slo import Slo


@dataclass(frozen=True)
class FrontModel:
    """What the front does before engines."""

    hold_seconds: float = 120.0
    """How long a request waits while no replica is ready; then it is refused."""
    max_queue: int = 1000
    """Most that wait so; more are refused at once."""
    shed_wait_seconds: float = math.inf
    """A request whose predicted wait is longer is refused: prompt tokens before it, over the rate below."""
    prefill_tokens_per_second: float = 15_000.0
    affinity: int = -1
    """A group goes to its last replica while that has at most so many requests more in flight than the least loaded
    one; -1: it goes to the least loaded one."""


class Kernel:
    """A `Fleet`. Bit-identical for the same arguments and calls; reading it changes nothing."""

    def __init__(
        self,
        profile: EngineProfile,
        requests: Requests,
        slo: Slo,
        front: FrontModel | None = None,
        seed: int = 0,
    ) -> None:
        _check(profile, requests)
        self._state = fresh(requests, _limits(profile, slo, front or FrontModel()))
        self._random = np.random.default_rng(seed)
        self._now = 0.0

    def advance(self, until: float) -> None:
        """Simulate up to this time, seconds."""
        if not self._now <= until < math.inf:
            raise ValueError(f"until: {until:g} must be finite and not before {self._now:g}")
        kernel_events.run(self._state, float(until))
        self._now = float(until)

    def add(self, count: int) -> None:
        """So many more replicas take requests from now on."""
        needed = self.busy_replicas() + count
        if needed > len(self._state.replicas):
            self._state = grown(self._state, needed)
        kernel_size.add(self._state, count, self._now)

    def drain(self, count: int) -> None:
        """The emptiest so many get no new request, finish theirs and are gone; all, where there are fewer ready."""
        kernel_size.drain(self._state, min(count, self._total("ready")))

    def fail(self, count: int) -> None:
        """So many at random, ready or draining, die now; their requests go elsewhere, or are held."""
        rows = np.flatnonzero(self._state.replicas["state"] != GONE)
        chosen = self._random.choice(rows, min(count, len(rows)), replace=False)
        for row in chosen:
            kernel_size.fail(self._state, int(row))
        for row in chosen:
            kernel_size.scatter(self._state, int(row), self._now)

    def sample(self) -> Sample:
        """The series as of the time advanced to."""
        state, total = self._state, self._total
        running, engine_waiting, used, generated = kernel_reading.gauges(state, self._now)
        ready = total("ready")
        return Sample(
            at=self._now,
            offered_prefill_tokens=float(total("offered_prefill")),
            offered_decode_tokens=float(total("offered_decode")),
            queued_prefill_tokens=float(total("queued_prefill")),
            queued_decode_tokens=float(total("queued_decode")),
            waiting=total("waiting"),
            oldest_wait_seconds=float(kernel_reading.oldest_wait(state, self._now)),
            arrived=total("arrived"),
            rejected=total("rejected"),
            slo_good=total("slo_good"),
            slo_total=total("slo_total"),
            ttft_counts=state.ttft_counts.copy(),
            tpot_over=total("tpot_over"),
            prefilled_tokens=float(total("prefilled")),
            generated_tokens=float(total("generated") + generated),
            running=int(running),
            engine_waiting=int(engine_waiting),
            kv_usage=used / (ready * int(state.limits[0]["blocks"])) if ready else 0.0,
            ready=ready,
        )

    def busy_replicas(self) -> int:
        """Replicas that exist: ready and draining ones."""
        return self._total("busy")

    def busy_seconds(self) -> tuple[float, float]:
        """Seconds that replicas spent in steps that have ended, and the part that prompt tokens took of them."""
        totals = self._state.totals[0]
        return float(totals["busy_seconds"]), float(totals["prefill_busy_seconds"])

    def results(self) -> Results:
        """Per request, in the order of arrival; NaN where there was none."""
        rows = self._state.requests
        output = rows["output"]
        tpot = np.full(len(rows), np.nan)
        many = (output > 1) & (rows["outcome"] == DONE)
        tpot[many] = (rows["last"] - rows["first"])[many] / (output[many] - 1)
        ttft: Floats = rows["first"] - rows["at"]
        return Results(ttft, tpot, rows["outcome"] == REJECTED)

    def _total(self, name: str) -> int:
        return int(self._state.totals[0][name])


def _check(profile: EngineProfile, requests: Requests) -> None:
    if min(profile.base_seconds + profile.sequence_seconds, profile.base_seconds + profile.prefill_seconds) <= 0:
        raise ValueError("base_seconds: must be above 0, or no step takes any time")
    if profile.max_batched_tokens < profile.max_num_seqs:
        raise ValueError("max_batched_tokens: must be at least max_num_seqs, as vLLM demands")
    if len(requests.at_seconds) == 0:
        return
    if requests.at_seconds[0] < 0 or (np.diff(requests.at_seconds) < 0).any():
        raise ValueError("at_seconds: must begin at 0 or later and never fall; sort the requests by time")
    if min(int(requests.prompt_tokens.min()), int(requests.output_tokens.min())) < 1:
        raise ValueError("prompt_tokens, output_tokens: must be at least 1 for each request")
    longest = int((requests.prompt_tokens.astype(np.int64) + requests.output_tokens).max())
    blocks = profile.kv_cache_tokens // profile.block_tokens
    if longest > blocks * profile.block_tokens:
        raise ValueError(f"kv_cache_tokens: {profile.kv_cache_tokens} cannot hold a request of {longest} tokens")


def _limits(profile: EngineProfile, slo: Slo, front: FrontModel) -> Records:
    limits = np.zeros(1, LIMITS)
    limits["base"], limits["prefill"] = profile.base_seconds, profile.prefill_seconds
    limits["attention"] = profile.attention_seconds
    limits["sequence"], limits["context"] = profile.sequence_seconds, profile.context_seconds
    limits["delay"] = profile.request_seconds
    limits["ttft"] = math.inf if slo.ttft_seconds is None else slo.ttft_seconds
    limits["tpot"] = math.inf if slo.tpot_seconds is None else slo.tpot_seconds
    limits["hold"], limits["max_held"] = front.hold_seconds, front.max_queue
    limits["shed_wait"], limits["shed_rate"] = front.shed_wait_seconds, front.prefill_tokens_per_second
    limits["affinity"] = front.affinity
    limits["block_tokens"] = profile.block_tokens
    limits["blocks"] = profile.kv_cache_tokens // profile.block_tokens
    limits["max_num_seqs"], limits["max_batched_tokens"] = profile.max_num_seqs, profile.max_batched_tokens
    return limits
