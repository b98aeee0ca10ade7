"""Each client test runs twice: straight at the front, and through a real nginx with default settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support import nginx
from tests.support.nginx import Nginx
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiers import require
from tests.support.world import World, Worlds


@dataclass
class Door:
    """Where a client knocks."""

    base_url: str
    address: tuple[str, int]
    world: World

    @property
    def key(self) -> str:
        return self.world.front.key

    @property
    def engine(self) -> ScriptedEngine:
        return self.world.engine


@pytest.fixture(scope="session")
def proxied(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    require("nginx", nginx.BINARY is not None)
    server = Nginx(worlds.get().front.base_url, tmp_path_factory.mktemp("nginx"))
    yield server
    server.stop()


@pytest.fixture
def behind_nginx(proxied: Nginx, worlds: Worlds) -> Door:
    return Door(proxied.base_url, proxied.address, worlds.get())


@pytest.fixture(params=["direct", pytest.param("nginx", marks=pytest.mark.nginx)])
def door(request: pytest.FixtureRequest, worlds: Worlds) -> Door:
    if request.param == "nginx":
        found: Door = request.getfixturevalue("behind_nginx")
        return found
    world = worlds.get()
    return Door(world.front.base_url, world.front.address, world)
