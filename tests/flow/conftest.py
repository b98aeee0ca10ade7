"""Fronts over real stores, shared by the tests of this folder or of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cold_front import ColdFront
from tests.support.state_world import StateWorld
from tests.support.two_fronts import TwoFronts

# A short lease, for tests in which a front dies.
_SETTINGS = {"front.state.lease_seconds": 3, "front.state.redis_timeout_seconds": 1, "front.engine_poll_seconds": 0.2}


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColdFront]:
    with ColdFront(tmp_path_factory.mktemp("cold")) as front:
        yield front


@pytest.fixture(scope="session")
def _two_fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFronts]:
    with StateWorld(tmp_path_factory.mktemp("two-fronts"), settings=_SETTINGS) as world:
        yield TwoFronts(world)


@pytest.fixture
def fronts(_two_fronts: TwoFronts) -> Iterator[TwoFronts]:
    """Both alive at the start, whatever the test does to them; none may log an exception that it did not expect."""
    lines = [len(front.complaints) for front in _two_fronts.reset().fronts]
    yield _two_fronts
    for front, before in zip(_two_fronts.fronts, lines, strict=True):
        news = "".join(front.complaints[before:])
        assert "Traceback" not in news, news
