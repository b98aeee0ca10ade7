"""The control loop on a fleet whose capacity is known: what laws see, when, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from autoscale.simulate import traffic
from autoscale.simulate.fleet import Requests
from autoscale.simulate.laws.law import Ask, Decision
from autoscale.simulate.loop import Loop, LoopSettings, Step
from autoscale.simulate.prometheus import Unreachable
from autoscale.simulate.startup import ColdStart
from autoscale.simulate.world import ClusterSettings, Pods, World
from tests.support.fluid_fleet import FluidFleet

ARRIVALS = 'sum(rate(tidegate_offered_tokens_total{kind="prefill"}[1m]))'


class Told:
    """A law that does what it is told, and keeps what it saw."""

    name, poll_seconds = "told", 5.0

    def __init__(self, replicas: Callable[[float], int | None], query: str = "sum(tidegate_requests_waiting)") -> None:
        self._replicas, self._query = replicas, query
        self.polls: list[float] = []
        self.seen: list[tuple[float, list[float] | None]] = []

    def poll(self, now: float, pods: Pods, ask: Ask) -> int | None:
        self.polls.append(now)
        return None

    def sync(self, now: float, pods: Pods, ask: Ask) -> Decision:
        try:
            self.seen.append((now, ask(self._query)))
        except Unreachable:
            self.seen.append((now, None))
        return Decision(self._replicas(now), {"told": now}, "told")


def looped(law: Told, settings: LoopSettings | None = None, seconds: float = 600.0) -> tuple[list[Step], FluidFleet]:
    requests: Requests = traffic.constant("chat", 15.0, seconds, 1)
    fleet = FluidFleet(requests, rate=10.0)
    world = World(fleet, ClusterSettings(ColdStart(100.0, 0.0)), 1, np.random.default_rng(1))
    return Loop(world, fleet, law, settings or LoopSettings(), np.random.default_rng(2)).run(seconds), fleet


def test_syncs_and_polls_keep_their_periods() -> None:
    law = Told(lambda _: None)
    steps, _ = looped(law)
    gaps = [after.at - before.at for before, after in pairwise(steps)]
    assert len(steps) == 40
    assert np.mean(gaps) == pytest.approx(15, abs=0.05)
    assert max(gaps) < 15.7
    assert len(law.polls) == pytest.approx(120, abs=1)


def test_what_is_ordered_serves_a_cold_start_later_and_works_the_backlog_off() -> None:
    steps, fleet = looped(Told(lambda now: 3 if now >= 200 else 1))
    ordered = next(step.at for step in steps if step.pods.wanted == 3)
    ready = next(step.at for step in steps if step.pods.ready == 3)
    assert 85 <= ready - ordered <= 115
    assert max(step.waiting for step in steps) > 500
    assert steps[-1].waiting < 20
    late = fleet.results().ttft_seconds[-1000:]
    assert np.nanmedian(late) < 0.2


def test_a_law_sees_the_rate_that_is_offered_and_not_the_one_that_is_served() -> None:
    law = Told(lambda _: 1, ARRIVALS)
    looped(law)
    readings = [found[0] for at, found in law.seen if at > 90 and found]
    assert np.mean(readings) == pytest.approx(15 * 1125, rel=0.1)


def test_an_outage_reaches_the_law_as_no_answer_and_its_hole_is_seen_after_it() -> None:
    law = Told(lambda _: 1, ARRIVALS)
    looped(law, LoopSettings(outages=((200.0, 400.0),)))
    assert all(found is None for at, found in law.seen if 200 <= at < 400)
    assert [found for at, found in law.seen if 400 <= at < 402] in ([], [[]])
    assert all(found for at, found in law.seen if at > 420)


def test_the_same_seed_runs_the_same_and_gpu_seconds_never_fall() -> None:
    one, other = (looped(Told(lambda _: 2))[0] for _ in range(2))
    assert one == other
    assert all(before.gpu_seconds <= after.gpu_seconds for before, after in pairwise(one))


@pytest.mark.parametrize("settings", [{"scrape_seconds": 0.0}, {"sync_seconds": -1.0}, {"sync_jitter_seconds": 20.0}])
def test_impossible_periods_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above 0|shorter than its period"):
        LoopSettings(**settings)
