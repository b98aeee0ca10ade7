"""How fast the HPA lets a count change: stabilisation windows and policies, with the events that they look back on.

It knows no metric: a wanted count goes in, an allowed one comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from autoscale.decide.decision import Limit
from autoscale.decide.spec import Behavior, HpaSettings, Rules

Stamped = tuple[float, int]
MOST = 2**31 - 1
LEAST = -(2**31)
_FACTOR_WITHOUT_BEHAVIOR = 2.0
_LEAST_LIMIT_WITHOUT_BEHAVIOR = 4.0


class Pace:
    """What one HPA remembers: earlier wishes, and by how much it changed the count when."""

    def __init__(self, behavior: Behavior | None, settings: HpaSettings) -> None:
        self._behavior = behavior
        window = settings.downscale_window_seconds
        self._up_window = _window(behavior.up, 0) if behavior else 0
        self._down_window = _window(behavior.down, window) if behavior else window
        self._wishes: list[Stamped] = []
        self._ups: list[Stamped] = []
        self._downs: list[Stamped] = []

    def begin(self, now: float, current: int) -> None:
        """The count that the HPA finds at first is its first wish."""
        if not self._wishes:
            self._wishes.append((now, current))

    def stabilize(self, now: float, current: int, desired: int) -> int:
        """The count within what was wished for in the windows; this wish joins them."""
        if self._behavior is None:
            cutoff = now - self._down_window
            stable = max([desired, *(count for at, count in self._wishes if at >= cutoff)])
            _keep(self._wishes, (now, desired), cutoff)
            return stable
        up_cutoff, down_cutoff = now - self._up_window, now - self._down_window
        lowest = min([desired, *(count for at, count in self._wishes if at > up_cutoff)])
        highest = max([desired, *(count for at, count in self._wishes if at > down_cutoff)])
        _keep(self._wishes, (now, desired), min(up_cutoff, down_cutoff))
        return min(max(current, lowest), highest)

    def limit(self, now: float, current: int, stable: int, least: int, most: int) -> tuple[int, Limit]:
        """The count within policies, minimum and maximum, and which of them cut it off."""
        if self._behavior is None:
            return _without_behavior(current, stable, least, most)
        if stable > current:
            allowed = max(current, self._up_limit(now, current, self._behavior.up))
            bound = min(most, allowed)
            return (bound, "ScaleUpLimit" if most > allowed else "TooManyReplicas") if stable > bound else (stable, "")
        if stable < current:
            allowed = min(current, self._down_limit(now, current, self._behavior.down))
            bound = max(least, allowed)
            return (
                (bound, "ScaleDownLimit" if least < allowed else "TooFewReplicas") if stable < bound else (stable, "")
            )
        return stable, ""

    def changed(self, now: float, before: int, after: int) -> None:
        """The count was written."""
        if self._behavior is None:
            return
        if after > before:
            _keep(self._ups, (now, after - before), now - _longest(self._behavior.up))
        else:
            _keep(self._downs, (now, before - after), now - _longest(self._behavior.down))

    def _up_limit(self, now: float, current: int, rules: Rules) -> int:
        if rules.select == "Disabled":
            return current
        proposed = []
        for policy in rules.policies:
            start = self._start(now, current, policy.period_seconds)
            if policy.kind == "Pods":
                proposed.append(start + policy.value)
            else:
                proposed.append(saturated(math.ceil(start * (1 + policy.value / 100))))
        return _pick(rules, proposed, min, max)

    def _down_limit(self, now: float, current: int, rules: Rules) -> int:
        if rules.select == "Disabled":
            return current
        proposed = []
        for policy in rules.policies:
            start = self._start(now, current, policy.period_seconds)
            if policy.kind == "Pods":
                proposed.append(start - policy.value)
            else:
                proposed.append(int(start * (1 - policy.value / 100)))
        return _pick(rules, proposed, max, min)

    def _start(self, now: float, current: int, period_seconds: int) -> int:
        cutoff = now - period_seconds
        added = sum(change for at, change in self._ups if at > cutoff)
        removed = sum(change for at, change in self._downs if at > cutoff)
        return current - added + removed


def saturated(value: float) -> int:
    """A whole number as int32."""
    return int(min(max(value, LEAST), MOST))


def _window(rules: Rules, default: int) -> int:
    return default if rules.window_seconds is None else rules.window_seconds


def _longest(rules: Rules) -> int:
    return max(policy.period_seconds for policy in rules.policies)


def _pick(rules: Rules, proposed: list[int], least: Callable[..., int], most: Callable[..., int]) -> int:
    return least(proposed) if rules.select == "Min" else most(proposed)


def _keep(events: list[Stamped], new: Stamped, cutoff: float) -> None:
    """Of those before the cutoff the last in the list makes room for the new one, and only that: so does the HPA."""
    outdated = [index for index, (at, _) in enumerate(events) if at < cutoff]
    if outdated:
        events[outdated[-1]] = new
    else:
        events.append(new)


def _without_behavior(current: int, stable: int, least: int, most: int) -> tuple[int, Limit]:
    allowed = int(max(_FACTOR_WITHOUT_BEHAVIOR * current, _LEAST_LIMIT_WITHOUT_BEHAVIOR))
    if stable < least:
        return least, "TooFewReplicas"
    if stable > min(most, allowed):
        return min(most, allowed), "ScaleUpLimit" if most > allowed else "TooManyReplicas"
    return stable, ""
