"""The knee of a simulated replica: where attainment falls through its share, and how it follows the engine's speed."""

from __future__ import annotations

import pytest

from autoscale.engine_profile import ASSUMED_H100_8B, EngineProfile
from autoscale.simulate import traffic
from autoscale.simulate.fleet import Requests
from autoscale.simulate.kernel import Kernel
from autoscale.simulate.knee import attainment, knee
from loadtest.slo import PRESETS, Slo

CHAT = PRESETS["chat"]


def fleets_of(engine: EngineProfile, slo: Slo) -> type[Kernel]:
    class Fleet(Kernel):
        def __init__(self, requests: Requests) -> None:
            super().__init__(engine, requests, slo)

    return Fleet


def test_a_replica_holds_the_slo_at_its_knee_and_not_beyond() -> None:
    fleets = fleets_of(ASSUMED_H100_8B, CHAT)
    found = knee(fleets, "chat", CHAT, 0.95)
    assert attainment(fleets, traffic.constant("chat", found, 600.0, 1), CHAT) >= 0.95
    assert attainment(fleets, traffic.constant("chat", found * 1.05, 600.0, 1), CHAT) < 0.95
    assert found < knee(fleets, "chat", CHAT, 0.90)


def test_an_engine_half_as_fast_carries_half_within_an_slo_twice_as_long() -> None:
    times = ("base_seconds", "prefill_seconds", "sequence_seconds", "context_seconds")
    slow = ASSUMED_H100_8B.model_copy(update={name: 2 * getattr(ASSUMED_H100_8B, name) for name in times})
    relaxed = Slo("relaxed", 1.0, 0.1)
    fast = knee(fleets_of(ASSUMED_H100_8B, CHAT), "chat", CHAT)
    assert knee(fleets_of(slow, relaxed), "chat", relaxed) == pytest.approx(fast / 2, rel=0.03)
