"""What a replica tells Serve's controller of a dead engine can be read there without vLLM."""

from __future__ import annotations

import asyncio
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from serving.engine.deployment import VllmReplica


def check(*, errored: bool) -> None:
    """Of an engine a health check asks this flag only; a replica without one has nothing to tidy up."""
    replica: Any = SimpleNamespace(_engine=SimpleNamespace(errored=errored))
    asyncio.run(VllmReplica.check_health(replica))


def test_a_dead_engine_is_unhealthy_and_its_error_imports_nothing_where_it_arrives() -> None:
    with pytest.raises(RuntimeError, match="engine process is dead") as raised:
        check(errored=True)
    assert b"vllm" not in pickle.dumps(raised.value)


def test_a_living_engine_is_healthy() -> None:
    check(errored=False)
