"""Which rate to offer next in the search for goodput; it sees results of probes and runs none itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtest.plan import SearchPlan
from loadtest.results import ProbeResult
from loadtest.slo import Outcome
from loadtest.verdict.levels import Level, counted, levels, passing

_PRIMARY = 0.95
_SAME_LATENCY = 1.1
_SAME_DEFICIT = 0.75


@dataclass(frozen=True)
class Bracket:
    """Where a quantile's goodput lies: the highest level that passes, the lowest that fails; None: none yet.

    `ceiling` is the lowest rate above `low` that the client could not carry.
    """

    quantile: float
    low: Level | None
    high: Level | None
    ceiling: float | None
    hopeless: bool

    def width(self) -> float:
        """Upper over lower end, less one; infinite while an end is missing, 0 where nothing is to be found."""
        if self.hopeless:
            return 0.0
        top = self.top()
        return top / self.low.rate - 1 if self.low and top else math.inf

    def top(self) -> float | None:
        """The rate to stay below."""
        ends = [end for end in (self.high.rate if self.high else None, self.ceiling) if end is not None]
        return min(ends, default=None)

    def unsettled(self, confirm_within: float) -> Level | None:
        """An end that is to be offered once more: one that its counts do not decide, the lower one first.

        In a bracket as narrow as `confirm_within`, also one that was offered only once: requests of one probe share
        its luck (near the knee a single queue decides on all of them), which no count of them shows.
        """
        ends = [end for end in (self.low, self.high) if end and not self.hopeless]
        found = self.width() <= confirm_within
        unsure = (end for end in ends if not end.settled(self.quantile) or (found and len(end.probes) == 1))
        return next(unsure, None)


class Search:
    """The search of one target, shared by all quantiles: every probe says something about each of them."""

    def __init__(self, search: SearchPlan, start_rate: float) -> None:
        self._plan = search
        self._start_rate = start_rate
        self._probes: list[ProbeResult] = []

    def add(self, probe: ProbeResult) -> None:
        self._probes.append(probe)

    def next_rate(self) -> float | None:
        """None when every quantile is found within the tolerance, or the probes are used up."""
        if len(self._probes) >= self._plan.max_probes:
            return None
        if not self._probes:
            return self._start_rate
        if self._disturbed():
            return self._probes[-1].offered_rate
        if not levels(self._probes):
            return min(probe.offered_rate for probe in self._probes) / 2
        bracket = self._open()
        return None if bracket is None else self._within(bracket)

    def explain(self) -> str:
        """One line for people."""
        if not self._probes:
            return f"starting at {self._start_rate:.3g} rps"
        if not levels(self._probes):
            return "the client was the limit at every rate so far"
        bracket = self._open() or self._bracket(self._by_importance()[0])
        at = f"at {bracket.quantile:g}"
        if bracket.hopeless:
            return f"no rate passes {at}, however low"
        if end := self._again(bracket):
            return f"{end.rate:.3g} rps once more, to be sure {at}"
        if bracket.low is None:
            return f"nothing passes {at} down to {levels(self._probes)[0].rate:.3g} rps"
        if bracket.high is None and bracket.ceiling is None:
            return f"{bracket.low.rate:.3g} rps pass {at}, doubling"
        limit = "" if bracket.high else " (the client's limit)"
        return f"bracket {bracket.low.rate:.3g} to {bracket.top():.3g} rps {at}{limit}"

    def _within(self, bracket: Bracket) -> float:
        if end := self._again(bracket):
            return end.rate
        top = bracket.top()
        if bracket.low is None:
            return levels(self._probes)[0].rate / 2
        return math.sqrt(bracket.low.rate * top) if top else bracket.low.rate * 2

    def _open(self) -> Bracket | None:
        """What to work on: the primary quantile until it is found, then the widest bracket."""
        quantiles = self._by_importance()
        found = [self._bracket(quantile) for quantile in quantiles]
        going = [bracket for bracket in found if bracket.width() > self._plan.tolerance or self._again(bracket)]
        if not going or going[0].quantile == quantiles[0]:
            return going[0] if going else None
        return max(going, key=Bracket.width)

    def _again(self, bracket: Bracket) -> Level | None:
        """Only the primary quantile is worth its confirmation."""
        primary = bracket.quantile == self._by_importance()[0]
        return bracket.unsettled(self._plan.tolerance if primary else -math.inf)

    def _by_importance(self) -> list[float]:
        ordered = sorted(self._plan.quantiles)
        primary = _PRIMARY if _PRIMARY in ordered else ordered[len(ordered) // 2]
        return [primary, *(quantile for quantile in ordered if quantile != primary)]

    def _bracket(self, quantile: float) -> Bracket:
        found = levels(self._probes)
        count = passing(found, quantile)
        low = found[count - 1] if count else None
        high = found[count] if count < len(found) else None
        beyond = [
            probe.offered_rate
            for probe in self._probes
            if probe.client.reasons and (low is None or probe.offered_rate > low.rate)
        ]
        return Bracket(quantile, low, high, min(beyond, default=None), not count and _hopeless(found, quantile))

    def _disturbed(self) -> bool:
        """The client stumbled once at a rate; a limit of the client comes back, a hiccup of its machine does not."""
        last = self._probes[-1]
        again = sum(probe.offered_rate == last.offered_rate for probe in self._probes) > 1
        return bool(last.client.reasons) and not last.client.dropped and not again


def _hopeless(found: tuple[Level, ...], quantile: float) -> bool:
    """Halving the rate changed neither the latency nor what is missed: the server is idle and still misses it."""
    if len(found) < 2:
        return False
    below, above = found[0], found[1]
    if any(level.verdict(quantile) != "fail" or level.overran or _refused(level) for level in (below, above)):
        return False
    missed = [1 - level.good / level.total for level in (below, above)]
    slower = [medians > idle * _SAME_LATENCY for idle, medians in zip(_medians(below), _medians(above), strict=True)]
    return not any(slower) and missed[0] >= missed[1] * _SAME_DEFICIT


def _medians(level: Level) -> tuple[float, float, float]:
    """Overload shows in the wait for a first token, or in the pace of the later ones."""
    last = level.probes[-1]
    return last.ttft.p50, last.tpot.p50, last.e2e.p50


def _refused(level: Level) -> bool:
    """Most of what was missed was not slow but failed: no sign of an idle server."""
    slow = sum(
        probe.outcomes[outcome.name.lower()]
        for probe in level.probes
        for outcome in (Outcome.SLOW_TTFT, Outcome.SLOW_TPOT, Outcome.SLOW_E2E)
    )
    return slow < (sum(map(counted, level.probes)) - level.good) / 2
