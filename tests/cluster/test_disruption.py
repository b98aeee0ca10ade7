"""Upgrades, rollbacks and lost nodes under streams that never stop, with the cut ones counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import fast
from tests.cluster.chatters import Chatters
from tests.cluster.fast import ENGINE, FRONT, chat, values
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release
from tests.cluster.tool import cluster, is_inside


@pytest.fixture
def release(kube: Kube) -> Iterator[Release]:
    """Two cells, always."""
    made = Release("charts/tidegate", fast.NAME, kube.namespace)
    made.install(values(least=2, most=2))
    yield made
    made.uninstall()
    until("every pod has left", lambda: not kube.pods("engine") and not kube.pods("front"))


def names(kube: Kube, component: str) -> set[str]:
    return {pod.metadata.name for pod in kube.pods(component)}


def test_an_upgrade_and_its_rollback_cut_no_stream(release: Release, kube: Kube) -> None:
    before = names(kube, "engine") | names(kube, "front")

    with Chatters(chat(kube), 8) as people:
        release.upgrade({**values(least=2, most=2, podAnnotations={"turn": "second"}), "commonLabels": {"turn": "two"}})
        until("new cells", lambda: kube.replicas(ENGINE) == (2, 2) and not before & names(kube, "engine"), 120)
        release.rollback()
        until("cells again", lambda: kube.replicas(ENGINE)[1] == 2 and kube.replicas(FRONT)[1] == 2, 120)

    print(f"an upgrade and a rollback: {people.answers}")
    assert set(people.answers.ended) == {"whole"}
    assert people.answers.ended["whole"] > 50


def test_a_cell_that_is_scaled_away_ends_its_streams_first(release: Release, kube: Kube) -> None:
    with Chatters(chat(kube, output_tokens=200), 8) as people:
        until("streams on both cells", lambda: len(people.answers.ttft_seconds) >= 8)
        for pod in kube.pods("engine"):
            kube.delete_pod(pod.metadata.name)
            until("its successor", lambda: kube.replicas(ENGINE)[1] == 2)

    print(f"each cell deleted once: {people.answers}")
    assert set(people.answers.ended) == {"whole"}


def test_a_lost_node_takes_only_what_ran_on_it(release: Release, kube: Kube) -> None:
    if not is_inside():
        pytest.skip("nodes are killed on the cluster tool only")
    cells = kube.pods("engine")
    victim = next(pod for pod in cells if kube.holds_only(pod.spec.node_name, "engine"))

    with Chatters(chat(kube), 8) as people:
        until("answers", lambda: people.answers.ended["whole"] >= 8)
        cluster("node-kill", victim.spec.node_name)
        until("the lost cell is replaced", lambda: kube.replicas(ENGINE) == (2, 2), 120)
        replaced = people.answers.ended["whole"]
        until("answers again", lambda: people.answers.ended["whole"] >= replaced + 16)

    print(f"a node lost: {people.answers}")
    assert people.answers.ended["cut"] == 0
    # What its streams cannot be told of is an error event; there were at most so many on it.
    assert people.answers.ended["error_event"] <= 8
