"""The cold routes over real stores, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cold_front import ColdFront
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColdFront]:
    folder = tmp_path_factory.mktemp("cold")
    with RedisServer(folder) as redis, ColdFront(folder, redis) as front:
        yield front
