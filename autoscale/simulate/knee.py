"""How much one simulated replica carries within the SLO, and the two rates that a law plans with; it scales nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from autoscale.simulate import traffic
from autoscale.simulate.fleet import Fleet, Requests
from autoscale.simulate.score import good
from loadtest.slo import Slo

Fleets = Callable[[Requests], Fleet]
Tokens = np.ndarray[tuple[int], np.dtype[np.float64]]
"""Of prompts, and of outputs."""
SECONDS, _SETTLED_SECONDS, _FOLLOWED_SECONDS = 600.0, 60.0, 60.0
_STEPS = 9
MIX = ("chat", "code-relaxed")


class Rates(NamedTuple):
    """Tokens per second that a replica prefills if it did nothing else, and decodes if it did nothing else."""

    prefill: float
    decode: float


def knees(fleets: Fleets, workloads: Iterable[str], slo: Slo, share: float = 0.95, seed: int = 1) -> dict[str, float]:
    """Requests per second of each workload at which `share` of them is good, on one replica."""
    return {workload: knee(fleets, workload, slo, share, seed) for workload in workloads}


def knee(fleets: Fleets, workload: str, slo: Slo, share: float = 0.95, seed: int = 1) -> float:
    """By bisection between a rate that holds and one that does not. Raises `ValueError` where none holds."""
    return bisected(workload, lambda rate: traffic.constant(workload, rate, SECONDS, seed), fleets, slo, share)


def bisected(name: str, drawn: Callable[[float], Requests], fleets: Fleets, slo: Slo, share: float = 0.95) -> float:
    """The knee of any requests; `drawn` gives ten minutes of them at one rate. Raises `ValueError` with the name."""

    def holds(rate: float) -> bool:
        return attainment(fleets, drawn(rate), slo) >= share

    low, high = 0.0, 0.25
    while holds(high) and high < 1e5:
        low, high = high, high * 2
    if low == 0.0:
        raise ValueError(f"no rate of {name} holds the SLO on this engine: give another SLO or profile")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def attainment(fleets: Fleets, requests: Requests, slo: Slo) -> float:
    """Share of good requests on one replica, its first minute left out."""
    fleet = fleets(requests)
    fleet.add(1)
    fleet.advance(SECONDS + _FOLLOWED_SECONDS)
    settled = requests.at_seconds > _SETTLED_SECONDS
    return float(good(fleet.results(), slo)[settled].mean()) if settled.any() else 1.0


def rates(of_knees: Mapping[str, float], seed: int = 1) -> Rates:
    """What `shared` says of these workloads at their knees."""
    return shared({name: _tokens(name, seed) * rate for name, rate in of_knees.items()})


def shared(tokens: Mapping[str, Tokens]) -> Rates:
    """Two workloads at their knees tell what a prompt token and what an output token cost: their shares add up to one
    replica.

    `tokens`: prompt and output tokens per second by workload. With one, or where two give no positive answer, both
    kinds are paid half of it.
    """
    if set(MIX) <= tokens.keys():
        costs = np.linalg.solve(np.array([tokens[name] for name in MIX]), np.ones(2))
        if (costs > 0).all():
            return Rates(float(1 / costs[0]), float(1 / costs[1]))
    prefill, decode = next(iter(tokens.values()))
    return Rates(2 * float(prefill), 2 * float(decode))


def _tokens(workload: str, seed: int) -> Tokens:
    return mean_tokens(traffic.constant(workload, 50.0, 400.0, seed))


def mean_tokens(drawn: Requests) -> Tokens:
    """Prompt and output tokens of a request."""
    return np.array([drawn.prompt_tokens.mean(), drawn.output_tokens.mean()])
