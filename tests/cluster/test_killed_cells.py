"""Cells get SIGKILL, again and again, under streams that never stop: each stream goes on at a cell that is there."""

from __future__ import annotations

import time

import pytest

from tests.cluster.chatters import Chatters
from tests.cluster.continuations import breaks, gone_on
from tests.cluster.fast import ENGINE, chat
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release
from tests.cluster.tool import cluster, is_inside

_ROUNDS = 3
_PEOPLE = 8
# In which a cell says more than the few tokens that tell that it does not die of what it is asked, and before which no
# other has come back.
_BETWEEN_SECONDS = 1.0


@pytest.fixture(autouse=True)
def _on_the_tool() -> None:
    if not is_inside():
        pytest.skip("processes are killed on the cluster tool only")


def test_cells_killed_one_after_another_end_no_stream(two_cells: Release, kube: Kube) -> None:
    with Chatters(chat(kube, output_tokens=100), _PEOPLE) as people:
        answered(people, _PEOPLE)
        for _ in range(_ROUNDS):
            for pod in kube.pods("engine"):
                killed_and_back(kube, pod.metadata.name)
                answered(people, 2 * _PEOPLE)

    continued, told = gone_on(kube), breaks(kube)
    print(f"each of two cells killed {_ROUNDS} times: {people.answers}; {continued} went on; fronts: {dict(told)}")
    assert set(people.answers.ended) == {"whole"}
    # About half of the eight streams were on the cell that died, each time.
    assert continued >= 2 * _ROUNDS
    assert told.keys() == {"continued"}


def test_streams_wait_when_the_last_cell_is_killed_too(two_cells: Release, kube: Kube) -> None:
    with Chatters(chat(kube, output_tokens=300), _PEOPLE) as people:
        answered(people, _PEOPLE)
        killed_and_back(kube, *(pod.metadata.name for pod in kube.pods("engine")))
        answered(people, 2 * _PEOPLE)

    continued, told = gone_on(kube), breaks(kube)
    print(f"the last cell killed too: {people.answers}; {continued} went on; fronts: {dict(told)}")
    assert set(people.answers.ended) == {"whole"}
    # Those of the first cell twice.
    assert continued > _PEOPLE
    assert told.keys() == {"continued"}


def killed_and_back(kube: Kube, *cells: str) -> None:
    """SIGKILL to one after the other, without waiting for the former; they are up again when this returns."""
    before = sum(map(kube.restarts, cells))
    for number, cell in enumerate(cells):
        time.sleep(_BETWEEN_SECONDS if number else 0)
        cluster("pod-kill", cell, "-n", kube.namespace)
    until("they have come back", lambda: sum(map(kube.restarts, cells)) == before + len(cells))
    until("they are ready", lambda: kube.replicas(ENGINE) == (2, 2))


def answered(people: Chatters, more: int) -> None:
    """Wait for so many more whole answers."""
    known = people.answers.ended["whole"]
    until(f"{more} more answers", lambda: people.answers.ended["whole"] >= known + more)
