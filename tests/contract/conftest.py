"""The durable stores that the contract is held against, each with its real server, and a clock that tests move."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.adapters.stores import open_store
from serving.front.state.stores import DurableStore
from serving.settings import StateSettings
from tests.support.tiers import require

# By module and class: a backend whose support cannot be imported fails alone.
BACKENDS = {
    "sqlite": ("sqlite_server", "SqliteServer"),
    "postgres": ("postgres_server", "PostgresServer"),
    "dynamodb-moto": ("dynamodb_server", "MotoServer"),
    "dynamodb-dynalite": ("dynamodb_server", "DynaliteServer"),
}
# A slow machine is not a store that is down.
SETTINGS = StateSettings(store_timeout_seconds=60)
RETENTION_SECONDS = SETTINGS.retention_days * 86400


@dataclass
class Clock:
    """Time of all stores of a test, seconds since the epoch."""

    seconds: float = 1_750_000_000.5

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Place:
    """One empty store, and any number of store objects on it, as so many processes would have."""

    url: str
    clock: Clock = field(default_factory=Clock)
    opened: list[DurableStore] = field(default_factory=list)

    async def open(self, *, skew_seconds: float = 0) -> DurableStore:
        """A store object whose clock is wrong by so much."""
        store = await open_store(self.url, SETTINGS, lambda: self.clock() + skew_seconds)
        self.opened.append(store)
        return store


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The loop that the front runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running server."""
    module, name = BACKENDS[request.param]
    server = getattr(importlib.import_module(f"tests.support.{module}"), name)
    missing = server.missing()
    require(missing or request.param, missing is None)
    with server(tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def url(backend: Any) -> str:
    """An empty store."""
    found: str = backend.fresh()
    return found


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    place = Place(url)
    yield place
    for store in place.opened:
        await store.close()


@pytest.fixture
async def store(place: Place) -> DurableStore:
    return await place.open()
