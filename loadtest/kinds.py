"""The four kinds of runs as orders of probes; it knows how a rate is chosen, not how it is offered or judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from loadtest.plan import Plan
from loadtest.results import Goodput, Interval, Paired, ProbeResult
from loadtest.verdict.paired import goodput_ratio
from loadtest.verdict.search import Search

_CURVE = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_PAIR_BLOCKS = 6
_PAIR_SHARE = 0.8
_PRIMARY = 0.95


class Probes(Protocol):
    """Offers a rate and judges what became of it."""

    def run(self, target: int, rate: float, seed: int | None = None) -> ProbeResult: ...

    def watched(self, search: Search) -> None: ...

    def estimate(self, target: int, quantile: float) -> Goodput: ...

    def paired(self, pairs: Sequence[tuple[int, int]]) -> Paired: ...


@dataclass(frozen=True)
class Found:
    """What the probes of a run came to."""

    goodputs: tuple[Goodput, ...] = ()
    paired: Paired | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def follow(plan: Plan, probes: Probes, start_rate: float) -> Found:
    """Run the plan's kind to its end."""
    kinds: dict[str, Callable[[Plan, Probes, float], Found]] = {
        "goodput": _goodput,
        "curve": _curve,
        "ab": _ab,
        "replay": _replay,
    }
    return kinds[plan.kind](plan, probes, start_rate)


def _goodput(plan: Plan, probes: Probes, start_rate: float) -> Found:
    """A search for each target, taking turns, so that what disturbs the machine disturbs all alike."""
    searches = [Search(plan.search, start_rate) for _ in plan.targets]
    going = dict(enumerate(searches))
    while going:
        for target, search in list(going.items()):
            rate = search.next_rate()
            if rate is None:
                del going[target]
                continue
            probes.watched(search)
            search.add(probes.run(target, rate))
    goodputs = [
        probes.estimate(target, quantile) for target in range(len(plan.targets)) for quantile in plan.search.quantiles
    ]
    return Found(tuple(goodputs))


def _curve(plan: Plan, probes: Probes, start_rate: float) -> Found:
    found = Found()
    rates: Sequence[float] = plan.rates
    if not rates:
        found = _goodput(plan, probes, start_rate)
        knee = _primary(found.goodputs, 0)
        if not knee:
            return Found(found.goodputs, notes=("No knee was found, so there is no curve around it: give --rates.",))
        rates = [knee * share for share in _CURVE]
    for rate in rates:
        probes.run(0, rate)
    goodputs = tuple(probes.estimate(0, quantile) for quantile in plan.search.quantiles)
    return Found(goodputs, notes=found.notes)


def _ab(plan: Plan, probes: Probes, start_rate: float) -> Found:
    """Both knees, then the same schedules to both at a rate below the lower one."""
    found = Found()
    rate = plan.rates[0] if plan.rates else 0.0
    if not rate:
        found = _goodput(plan, probes, start_rate)
        rate = _PAIR_SHARE * min(_primary(found.goodputs, target) for target in (0, 1))
    if not rate:
        return Found(found.goodputs, notes=("One of the two has no goodput, so nothing was paired.",))
    pairs = []
    for block in range(_PAIR_BLOCKS):
        seed = plan.seed + 1_000_000 + block
        order = (0, 1) if block % 2 == 0 else (1, 0)
        numbers = {target: probes.run(target, rate, seed).number for target in order}
        pairs.append((numbers[0], numbers[1]))
    compared = replace(probes.paired(pairs), goodput_ratio=_goodput_ratio(found.goodputs))
    return Found(found.goodputs, compared)


def _replay(plan: Plan, probes: Probes, _start_rate: float) -> Found:
    """The trace once at its own rate, or once at each rate asked for."""
    for rate in plan.rates or (0.0,):
        probes.run(0, rate)
    return Found()


def _goodput_ratio(goodputs: Sequence[Goodput]) -> Interval | None:
    a, b = _of(goodputs, 0), _of(goodputs, 1)
    return goodput_ratio(a, b) if a and b else None


def _primary(goodputs: Sequence[Goodput], target: int) -> float:
    found = _of(goodputs, target)
    return found.rate.value if found else 0.0


def _of(goodputs: Sequence[Goodput], target: int) -> Goodput | None:
    """Of the quantile that decides, where there is a verdict."""
    mine = [goodput for goodput in goodputs if goodput.target == target and not goodput.withheld]
    return min(mine, key=lambda goodput: abs(goodput.quantile - _PRIMARY), default=None)
