"""Load moves the number of cells through the real HPA: up, down, from none, without Prometheus, without GPUs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.cluster import fast
from tests.cluster.chatters import Chatters
from tests.cluster.command import scale
from tests.cluster.fast import ENGINE, chat, values
from tests.cluster.kube import Kube, until
from tests.cluster.prometheus import killed_prometheus
from tests.cluster.release import Release

# Of what was before, other tests know why series were absent.
JUST_NOW = ("--hours", "0.002")


@pytest.fixture(scope="module")
def release(kube: Kube) -> Iterator[Release]:
    made = Release("charts/tidegate", fast.NAME, kube.namespace)
    made.install(values())
    yield made
    made.uninstall()
    until("every cell has left", lambda: not kube.pods("engine"))


def settled(release: Release, kube: Kube, cells: int, **changes: object) -> None:
    """The release with these values, and so many cells ready, as they are without load."""
    release.upgrade(values(**changes))  # type: ignore[arg-type]
    until(f"{cells} cells", lambda: kube.replicas(ENGINE) == (cells, cells), 300)


def test_from_zero_the_front_holds_every_request_until_a_cell_is_up(release: Release, kube: Kube) -> None:
    settled(release, kube, 0, least=0)
    assert "nothing is wrong" in scale("doctor", "-n", kube.namespace, ENGINE, *JUST_NOW)

    with Chatters(chat(kube), 12, once=True) as people:
        awake = until("a first cell", lambda: kube.replicas(ENGINE)[1] >= 1)

    print(f"a cell was ready {awake:.0f} s after the first request; {people.answers}")
    assert dict(people.answers.ended) == {"whole": 12}


def test_goodput_asks_for_three_cells_and_calm_for_one(release: Release, kube: Kube) -> None:
    settled(release, kube, 1)

    with Chatters(chat(kube), 20) as people:
        up = until("3 cells under load", lambda: kube.replicas(ENGINE)[1] >= 3)
        time.sleep(10)
        highest = kube.replicas(ENGINE)[0]
        examined = scale("doctor", "-n", kube.namespace, ENGINE, *JUST_NOW)
        reasons = scale("explain", "-n", kube.namespace, ENGINE)
    down = until("1 cell in calm", lambda: kube.replicas(ENGINE) == (1, 1), 120)

    print(f"3 cells after {up:.0f} s, at most {highest}; 1 cell {down:.0f} s after the load; {people.answers}")
    print(reasons)
    assert highest <= 4
    assert set(people.answers.ended) == {"whole"}
    assert "nothing is wrong" in examined
    assert all(f"{signal}: " in reasons for signal in ("prefill", "decode", "queued", "ready", "ttft", "kv"))


def test_without_prometheus_nothing_shrinks(release: Release, kube: Kube) -> None:
    settled(release, kube, 1)
    with Chatters(chat(kube), 20) as people:
        until("3 cells under load", lambda: kube.replicas(ENGINE)[1] >= 3)
        with killed_prometheus():
            until("KEDA has fallen back", lambda: kube.condition(ENGINE, "Fallback") == "True")
            people.end()
            seen = [kube.replicas(ENGINE)[0] for _ in range(20) if time.sleep(1) is None]
    until("1 cell once Prometheus is back", lambda: kube.replicas(ENGINE) == (1, 1), 120)

    print(f"20 s of calm without Prometheus: {sorted(set(seen))} cells; {people.answers}")
    assert min(seen) >= 3
    assert set(people.answers.ended) == {"whole"}


def test_where_gpus_are_short_pods_wait_and_nobody_asks_for_ever_more(release: Release, kube: Kube) -> None:
    settled(release, kube, 1, most=12)

    with Chatters(chat(kube), 60) as people:
        until("all 4 GPUs at work", lambda: kube.replicas(ENGINE)[1] == 4)
        until("more asked for", lambda: kube.replicas(ENGINE)[0] > 4)
        time.sleep(20)
        wanted, ready = kube.replicas(ENGINE)
        waiting = kube.unscheduled("engine")

    print(f"{wanted} asked for, {ready} ready; {people.answers}")
    assert ready == 4
    # 60 people in 32 places: the demand is that of 5 cells, and the queue asks for one more at most.
    assert wanted in (5, 6)
    assert len(waiting) == wanted - ready
    assert all("Insufficient nvidia.com/gpu" in why for why in waiting)
    assert set(people.answers.ended) == {"whole"}
