"""Worlds of two fronts over one store, for tests that strike once and look closely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.checker.witness import Witness
from tests.support.state_world import StateWorld

# A slow machine is neither a store nor a Redis that is down.
SETTINGS = {
    "front.state.store_timeout_seconds": 30,
    "front.state.redis_timeout_seconds": 2,
    "front.state.lease_seconds": 2,
}
MakeStateWorld = Callable[..., StateWorld]


@pytest.fixture
def state_world(tmp_path: Path) -> Iterator[MakeStateWorld]:
    """`state_world("postgres")`: a running world, ended with the test. No front may have logged a traceback."""
    made: list[StateWorld] = []
    with ExitStack() as stack:

        def make(store: str = "sqlite") -> StateWorld:
            made.append(stack.enter_context(StateWorld(tmp_path / store, store, settings=SETTINGS)))
            return made[-1]

        yield make
        for front in (front for world in made for front in world.fronts):
            assert "Traceback" not in front.stderr, front.stderr


def listen(world: StateWorld) -> Witness:
    """Let the engines testify."""
    witness = Witness(seed=0, pause_seconds=0.0)
    for engine in world.engines:
        engine.decide = witness.decide
    return witness
