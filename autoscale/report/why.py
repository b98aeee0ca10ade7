"""The steps at which a law changed its mind, and the trigger behind each; it judges none."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from autoscale.simulate.run_result import Run


class Change(NamedTuple):
    """One step up or down."""

    seconds: float
    before: int
    after: int
    why: str
    reading: float | None


def changes(run: Run) -> list[Change]:
    """Every change of the wanted count; it shows at the sync after the one that decided it."""
    steps = run.steps
    found = []
    for at in range(1, len(steps.wanted)):
        before, after = steps.wanted[at - 1], steps.wanted[at]
        if before != after:
            why = steps.why[at - 1]
            readings = steps.signals.get(why)
            found.append(Change(steps.seconds[at - 1], before, after, why, readings[at - 1] if readings else None))
    return found


def drivers(run: Run) -> dict[str, tuple[int, int]]:
    """By trigger: how many steps up and how many down it was behind."""
    up = Counter(change.why for change in changes(run) if change.after > change.before)
    down = Counter(change.why for change in changes(run) if change.after < change.before)
    return {why: (up[why], down[why]) for why in sorted(up | down, key=lambda why: -(up[why] + down[why]))}
