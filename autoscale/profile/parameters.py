"""From a profile to what the law is told: the knee of each workload within an SLO, and the two rates; no measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.simulate import traffic
from autoscale.simulate.fleet import Requests, Results
from autoscale.simulate.kernel import Kernel
from autoscale.simulate.knee import SECONDS, Fleets, Rates, Tokens, bisected, mean_tokens, shared
from loadtest.slo import Slo
from loadtest.traffic.presets import WORKLOADS, fitted

SHARE = 0.95
WORKLOAD_NAMES = tuple(name for name, each in WORKLOADS.items() if all(kind.turns.mean == 1 for kind in each.classes))
"""Those of the load test whose requests do not depend on answers."""
_SAMPLE_RATE = 2.0
# Between two requests of which each is to be alone.
_APART_SECONDS = 10_000.0


@dataclass(frozen=True)
class Carried:
    """What one replica carries of a workload, requests per second, and why it is nothing where it is 0.

    `tokens`: means of a request. `alone`: share of the requests that would be good if each had the engine to itself.
    """

    workload: str
    knee: float
    tokens: Tokens
    alone: float
    why_none: str = ""


def carried(profile: EngineProfile, name: str, slo: Slo) -> Carried:
    """Raises `ValueError` for an unknown workload, an SLO without limits, or a cache too small for one request."""
    if name not in WORKLOAD_NAMES:
        raise ValueError(f"--workload {name}: must be one of {', '.join(WORKLOAD_NAMES)}")
    if slo.ttft_seconds is None and slo.tpot_seconds is None:
        raise ValueError(f"--slo {slo.name}: has no limits, so any rate is good; give --ttft or --tpot")
    workload = fitted(WORKLOADS[name], profile.max_model_len) if profile.max_model_len else WORKLOADS[name]
    sample = traffic.drawn(workload, _SAMPLE_RATE, SECONDS, 1)
    alone = _alone(profile, sample, slo)
    good, why = _missed(alone, slo)
    knee = 0.0
    if good >= SHARE:
        try:
            knee = bisected(name, lambda rate: traffic.drawn(workload, rate, SECONDS, 1), _fleets(profile, slo), slo)
        except ValueError:
            why = "a replica holds the SLO for single requests, but not at a quarter of a request per second"
    return Carried(name, knee, mean_tokens(sample), good, why if knee == 0.0 else "")


def rates(found: Sequence[Carried]) -> Rates | None:
    """None: no workload is carried at all."""
    at_knees = {each.workload: each.tokens * each.knee for each in found if each.knee > 0}
    return shared(at_knees) if at_knees else None


def counted(each: Carried, of: Rates) -> float:
    """Replicas that the law would count for this workload at its knee; 1 where the rates are right for it."""
    prompt, output = (float(tokens) * each.knee for tokens in each.tokens)
    return prompt / of.prefill + output / of.decode


def values(of: Rates, slo: Slo) -> str:
    """A model's entry in the chart's values, as YAML."""
    lines = [
        "scaling:",
        "  parameters:",
        f"    prefill_tokens_per_second: {of.prefill:.0f}",
        f"    decode_tokens_per_second: {of.decode:.0f}",
    ]
    return "\n".join(lines if slo.ttft_seconds is None else [*lines, f"    ttft_seconds: {slo.ttft_seconds:g}"])


def _fleets(profile: EngineProfile, slo: Slo) -> Fleets:
    return lambda requests: Kernel(profile, requests, slo)


def _alone(profile: EngineProfile, sample: Requests, slo: Slo) -> Results:
    apart = sample._replace(at_seconds=np.arange(len(sample.at_seconds), dtype=np.float64) * _APART_SECONDS)
    fleet = Kernel(profile, apart, slo)
    fleet.add(1)
    fleet.advance(len(apart.at_seconds) * _APART_SECONDS)
    return fleet.results()


def _missed(alone: Results, slo: Slo) -> tuple[float, str]:
    """Share of good ones, and a sentence about the others."""
    slow = {
        f"TTFT of {slo.ttft_seconds} s": alone.ttft_seconds > (slo.ttft_seconds or np.inf),
        f"TPOT of {slo.tpot_seconds} s": np.nan_to_num(alone.tpot_seconds) > (slo.tpot_seconds or np.inf),
    }
    good = float(1 - np.logical_or(*slow.values()).mean())
    shares = " and ".join(f"{missed.mean():.0%} miss the {limit}" for limit, missed in slow.items() if missed.any())
    return good, f"no number of replicas holds the SLO: of its requests, each alone on an idle engine, {shares}"
