"""A node is lost under streams that never stop. The node stays lost: this file runs after all others."""

from __future__ import annotations

import pytest

from tests.cluster.chatters import Chatters
from tests.cluster.continuations import breaks, gone_on
from tests.cluster.fast import ENGINE, chat
from tests.cluster.kube import Kube, until
from tests.cluster.network import silence
from tests.cluster.release import Release
from tests.cluster.tool import cluster, is_inside


def test_a_lost_node_ends_no_stream(two_cells: Release, kube: Kube) -> None:
    if not is_inside():
        pytest.skip("nodes are killed on the cluster tool only")
    cells = kube.pods("engine")
    victim = next(pod for pod in cells if kube.holds_only(pod.spec.node_name, "engine"))
    lost = victim.metadata.name

    with Chatters(chat(kube), 8) as people:
        until("answers", lambda: people.answers.ended["whole"] >= 8)
        silence(kube, victim.spec.node_name)
        cluster("node-kill", victim.spec.node_name)
        until("the cell is known to be lost", lambda: lost not in {pod.metadata.name for pod in kube.pods("engine")})
        until("it is replaced", lambda: kube.replicas(ENGINE) == (2, 2))
        replaced = people.answers.ended["whole"]
        until("answers again", lambda: people.answers.ended["whole"] >= replaced + 16)

    continued, told = gone_on(kube), breaks(kube)
    print(f"a node lost: {people.answers}; {continued} went on at another cell; fronts: {dict(told)}")
    assert set(people.answers.ended) == {"whole"}
    assert people.answers.silence_seconds < 15
    assert continued >= 1
    assert told.keys() == {"continued"}
