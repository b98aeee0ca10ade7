"""Fixtures shared by the tiers: worlds of one real front and scripted engines."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import MakeWorld, World, Worlds

# Tiers that watch other processes on the real clock: a machine that others use too may make them miss a bound.
REAL_TIME = frozenset({"flow", "http", "clients", "browser", "contract", "loadtest", "engine", "cluster"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Three tries for a test on the real clock; the summary names who needed them, and pyproject.toml bounds their sum.

    The checker's runs get one: what they look for happens once in a while.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in REAL_TIME:
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_collection_finish() -> None:
    """What was collected is needed to the end; without this each full garbage collection would walk it.

    Half a million objects, 0.3 to 1.7 s, in which the scripted engines of this process stand still.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Fronts that live as long as the test run, one per set of settings."""
    made = Worlds(tmp_path_factory.mktemp("fronts"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_traceback(request: pytest.FixtureRequest) -> Iterator[None]:
    """No front may log an exception that it did not expect, whatever its client got to see."""
    yield
    if "worlds" in request.fixturenames:
        found: Worlds = request.getfixturevalue("worlds")
        assert "Traceback" not in found.new_complaints()


@pytest.fixture
def world(worlds: Worlds) -> MakeWorld:
    """`world(engines=2, settings={...}, keys=[...])`: a shared front with exactly these, its engines reset."""
    return worlds.get


@pytest.fixture
def solo(worlds: Worlds) -> World:
    """One front with default settings over one engine."""
    return worlds.get()


@pytest.fixture
def pair(worlds: Worlds) -> World:
    """One front over two engines, whose retries no budget and no cool-down hides, and who is asked often."""
    retries = {"front.retry.budget_ratio": 1, "front.retry.cooldown_seconds": 0.05}
    return worlds.get(2, {**retries, "front.engine_poll_seconds": 0.2})


@pytest.fixture
def fresh_world(worlds: Worlds) -> Iterator[MakeWorld]:
    """A front of the test's own, for tests that stop it or count over its whole life."""
    made: list[World] = []

    def make(*args: Any, **options: Any) -> World:
        made.append(worlds.new(*args, **options))
        return made[-1]

    yield make
    for world in made:
        world.end()
