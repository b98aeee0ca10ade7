"""A node is lost under streams that never stop. The node stays lost: this file runs after all others."""

from __future__ import annotations

import pytest

from tests.cluster.chatters import Chatters
from tests.cluster.fast import ENGINE, chat
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release
from tests.cluster.tool import cluster, is_inside


def test_a_lost_node_takes_only_what_ran_on_it(two_cells: Release, kube: Kube) -> None:
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
