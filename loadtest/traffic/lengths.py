"""How long inputs, outputs and thoughts are; it does not know whose they are."""

from __future__ import annotations

import math

import numpy as np

from loadtest.plan import Lengths, Turns
from loadtest.traffic.columns import Floats, Ints


def lengths(of: Lengths, count: int, rng: np.random.Generator) -> Ints:
    """Whole tokens, lognormal; what is drawn outside of [low, high] takes the nearer end. Shape (count,)."""
    if of.low > of.high:
        raise ValueError(f"lengths: low {of.low} is above high {of.high}")
    return np.clip(np.rint(_lognormal(of.median, of.sigma, count, rng)), of.low, of.high).astype(np.int64)


def mean(of: Lengths) -> float:
    """The mean of `lengths`, but for the rounding to whole tokens."""
    if of.sigma == 0:
        return float(np.clip(of.median, of.low, of.high))
    low, high = (math.log(end / of.median) / of.sigma for end in (of.low, of.high))
    inside = _normal_below(high - of.sigma) - _normal_below(low - of.sigma)
    return (
        of.median * math.exp(of.sigma**2 / 2) * inside
        + of.low * _normal_below(low)
        + of.high * (1 - _normal_below(high))
    )


def thinks(turns: Turns, count: int, rng: np.random.Generator) -> Floats:
    """Seconds between an answer's end and the next question, lognormal. Shape (count,)."""
    if turns.think_median_seconds == 0:
        return np.zeros(count)
    return _lognormal(turns.think_median_seconds, turns.think_sigma, count, rng)


def turn_counts(turns: Turns, count: int, rng: np.random.Generator) -> Ints:
    """Turns per session: `low` and a geometric rest, at most `high`. Shape (count,)."""
    if not turns.low <= min(turns.mean, turns.high):
        raise ValueError(f"turns: low {turns.low} must not be above mean {turns.mean:g} or high {turns.high}")
    return np.minimum(turns.low - 1 + rng.geometric(_ending(turns), count), turns.high)


def mean_turns(turns: Turns) -> float:
    """The mean of `turn_counts`: `turns.mean` less what `high` cuts."""
    ending = _ending(turns)
    return turns.low - 1 + (1 - (1 - ending) ** (turns.high - turns.low + 1)) / ending


def _ending(turns: Turns) -> float:
    """The chance that a session from its `low`th turn on has none after it."""
    return 1 / (turns.mean - turns.low + 1)


def _lognormal(median: float, sigma: float, count: int, rng: np.random.Generator) -> Floats:
    return median * np.exp(sigma * rng.standard_normal(count))


def _normal_below(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2
