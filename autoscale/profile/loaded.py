"""How much longer an engine's steps take under load than alone: one loaded run beside its simulation.

Alone, an engine has a machine to itself. Under load its server tokenizes, detokenizes and writes streams at the same
time, and on a machine with few cores that slows its steps. One factor on all of their costs stands for it: the one at
which the simulator's mean TPOT is the measured one, at a load in the middle of what the engine carries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.simulate.fleet import Floats, Requests, Results
from autoscale.simulate.kernel import Kernel
from autoscale.simulate.knee import SECONDS, bisected
from loadtest.slo import Slo

# Lengths as chats have them, as far as the engine's context allows.
_PROMPT, _PROMPT_SIGMA, _OUTPUT = 200, 0.6, 60
_SHARE = 0.6
_LEAST_REQUESTS = 20
_SETTLED_SECONDS, _FOLLOWED_SECONDS = 3.0, 600.0
# Of what one request alone takes: what a load in which requests still go well may cost.
_SLOWER_START, _SLOWER_TOKENS = 10.0, 2.5
# Load makes no step shorter: where it seems so, something else took the machine while the engine was measured alone.
# Where it seems to take more than the most, something else took it meanwhile.
_LEAST, _STEPS = 1.0, 20
MOST_FACTOR = 8.0
_COSTS = ("base_seconds", "prefill_seconds", "attention_seconds", "sequence_seconds", "context_seconds")


class Times(NamedTuple):
    """Of each request of a loaded run, seconds."""

    ttft_seconds: Floats
    tpot_seconds: Floats


def planned(profile: EngineProfile, seconds: float, seed: int) -> Requests | None:
    """Arrivals for so long, at a share of the rate at which requests begin to hinder each other.

    None for an engine that is too slow for enough of them.
    """
    alone = _simulated(profile, _drawn(profile, 1.0, 1.0, seed, spread=0.0), 1.0)
    slo = Slo(
        "loaded",
        _SLOWER_START * float(np.nanmean(alone.ttft_seconds)),
        _SLOWER_TOKENS * float(np.nanmean(alone.tpot_seconds)),
    )
    try:
        knee = bisected(
            "a loaded run",
            lambda rate: _drawn(profile, rate, SECONDS, seed),
            lambda requests: Kernel(profile, requests, slo),
            slo,
        )
    except ValueError:
        return None
    rate = _SHARE * knee
    return _drawn(profile, rate, seconds, seed) if rate * seconds >= _LEAST_REQUESTS else None


def stretched(profile: EngineProfile, requests: Requests, seen: Times) -> EngineProfile | None:
    """With every cost of a step multiplied by what makes the simulation as slow as what was seen.

    None where that is more than `MOST_FACTOR`.
    """
    settled = requests.at_seconds >= _SETTLED_SECONDS
    wanted = float(np.nanmean(seen.tpot_seconds[settled]))

    def is_slower(factor: float) -> bool:
        return float(np.nanmean(_simulated(profile, requests, factor).tpot_seconds[settled])) > wanted

    if not is_slower(MOST_FACTOR):
        return None
    factor = _between(is_slower)
    found = _simulated(profile, requests, factor)
    ttft = float(np.nanmedian(found.ttft_seconds[settled])) / float(np.nanmedian(seen.ttft_seconds[settled]))
    residuals = {**profile.residuals, "loaded_ttft": round(abs(ttft - 1), 4)}
    return _scaled(profile, factor).model_copy(update={"load_factor": round(factor, 4), "residuals": residuals})


def _between(is_slower: Callable[[float], bool]) -> float:
    """By bisection of its logarithm."""
    low, high = np.log(_LEAST), np.log(MOST_FACTOR)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_slower(float(np.exp(middle))) else (middle, high)
    return float(np.exp((low + high) / 2))


def _scaled(profile: EngineProfile, factor: float) -> EngineProfile:
    return profile.model_copy(update={name: getattr(profile, name) * factor for name in _COSTS})


def _simulated(profile: EngineProfile, requests: Requests, factor: float) -> Results:
    fleet = Kernel(_scaled(profile, factor), requests, Slo("loaded", None, None))
    fleet.add(1)
    fleet.advance(float(requests.at_seconds[-1]) + _FOLLOWED_SECONDS)
    return fleet.results()


def _drawn(profile: EngineProfile, rate: float, seconds: float, seed: int, spread: float = _PROMPT_SIGMA) -> Requests:
    source = np.random.default_rng(seed)
    count = max(1, round(rate * seconds))
    most = (profile.max_model_len or profile.kv_cache_tokens) - _OUTPUT - 1
    prompts = np.clip(source.lognormal(np.log(_PROMPT), spread, count), 1, min(most, 4 * _PROMPT)).round()
    at = np.sort(source.uniform(0, seconds, count))
    outputs, alone, nothing = (np.full(count, value, np.int32) for value in (_OUTPUT, -1, 0))
    return Requests(at, prompts.astype(np.int32), outputs, alone, nothing)
