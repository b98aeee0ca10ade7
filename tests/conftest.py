"""Fixtures shared by the tiers: worlds of one real front and scripted engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.world import MakeWorld, World, Worlds


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
