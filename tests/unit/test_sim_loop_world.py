"""The simulated cluster: pods start late, find no GPU, die and drain; what exists is paid for."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.simulate import traffic
from autoscale.simulate.startup import ColdStart
from autoscale.simulate.world import ClusterSettings, World
from tests.support.fluid_fleet import FluidFleet

EXACT = ColdStart(100.0, 0.0)


def world(ready: int = 1, settings: ClusterSettings | None = None) -> tuple[World, FluidFleet]:
    fleet = FluidFleet(traffic.constant("chat", 5.0, 20.0, 1))
    return World(fleet, settings or ClusterSettings(EXACT), ready, np.random.default_rng(1)), fleet


def test_an_ordered_replica_serves_after_its_cold_start_and_costs_from_its_scheduling() -> None:
    cluster, fleet = world()
    cluster.advance(10)
    cluster.scale(3)
    cluster.advance(109)
    assert (fleet.replicas, cluster.pods().starting, cluster.pods().existing) == (1, 2, 3)
    cluster.advance(120)
    assert (fleet.replicas, cluster.pods().ready) == (3, 3)
    assert cluster.gpu_seconds == pytest.approx(10 * 1 + 110 * 3)


def test_without_a_gpu_a_pod_waits_at_no_cost_until_one_is_free() -> None:
    cluster, fleet = world(2, ClusterSettings(EXACT, max_gpus=3))
    cluster.scale(6)
    cluster.advance(50)
    assert cluster.pods()[1:] == (3, 1, 2)
    cluster.advance(1000)
    assert fleet.replicas == 3
    assert cluster.gpu_seconds == pytest.approx(3 * 1000)


def test_scaling_down_cancels_what_does_not_serve_before_it_drains_what_does() -> None:
    cluster, fleet = world(2, ClusterSettings(EXACT, max_gpus=4))
    cluster.scale(6)
    cluster.advance(10)
    cluster.scale(2)
    assert (fleet.drained, cluster.pods().existing) == (0, 2)
    cluster.scale(1)
    assert (fleet.drained, fleet.replicas) == (1, 1)


def test_a_replica_that_dies_is_replaced_after_another_cold_start() -> None:
    cluster, fleet = world(4, ClusterSettings(EXACT, failures_per_replica_hour=60.0))
    for second in range(1, 400):
        cluster.advance(float(second))
        pods = cluster.pods()
        assert pods.existing == 4
        assert pods.ready == fleet.replicas
    assert fleet.failed == cluster.died
    assert 10 < cluster.died < 35
    assert fleet.failed > 4 - fleet.replicas, "some of them came back"


def test_cold_starts_are_lognormal_around_their_median() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([ColdStart(180, 0.15).draw(rng) for _ in range(4000)])
    assert np.median(drawn) == pytest.approx(180, rel=0.02)
    assert np.log(drawn).std() == pytest.approx(0.15, rel=0.05)
    assert (drawn > ColdStart(180, 0.15).slow_seconds).mean() == pytest.approx(0.023, abs=0.01)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ClusterSettings(max_gpus=0), "max_gpus"),
        (lambda: ClusterSettings(failures_per_replica_hour=-1), "failures_per_replica_hour"),
        (lambda: ColdStart(-1), "median_seconds"),
    ],
)
def test_an_impossible_cluster_is_refused_by_name(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]
