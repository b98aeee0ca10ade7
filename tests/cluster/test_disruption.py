"""Upgrades, rollbacks and leaving cells under streams that never stop, with the cut ones counted."""

from __future__ import annotations

from tests.cluster.chatters import Chatters
from tests.cluster.fast import ENGINE, FRONT, chat, values
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release


def names(kube: Kube, component: str) -> set[str]:
    return {pod.metadata.name for pod in kube.pods(component)}


def test_an_upgrade_and_its_rollback_cut_no_stream(two_cells: Release, kube: Kube) -> None:
    before = names(kube, "engine") | names(kube, "front")

    with Chatters(chat(kube), 8) as people:
        two_cells.upgrade(
            {**values(least=2, most=2, podAnnotations={"turn": "second"}), "commonLabels": {"turn": "two"}}
        )
        until("new cells", lambda: kube.replicas(ENGINE) == (2, 2) and not before & names(kube, "engine"), 120)
        two_cells.rollback()
        until("cells again", lambda: kube.replicas(ENGINE)[1] == 2 and kube.replicas(FRONT)[1] == 2, 120)

    print(f"an upgrade and a rollback: {people.answers}")
    assert set(people.answers.ended) == {"whole"}
    assert people.answers.ended["whole"] > 50


def test_a_cell_that_is_scaled_away_ends_its_streams_first(two_cells: Release, kube: Kube) -> None:
    with Chatters(chat(kube, output_tokens=200), 8) as people:
        until("streams on both cells", lambda: len(people.answers.ttft_seconds) >= 8)
        for pod in kube.pods("engine"):
            kube.delete_pod(pod.metadata.name)
            until("its successor", lambda: kube.replicas(ENGINE)[1] == 2)

    print(f"each cell deleted once: {people.answers}")
    assert set(people.answers.ended) == {"whole"}
