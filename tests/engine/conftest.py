"""Fixtures of the engine tier: a tiny model, and real cells that serve it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.engine.cell_process import TIDEGATE, CellProcess
from tests.support.tiers import require

# A gigabyte of KV space per engine is not needed here; this is room for 32 thousand tokens.
SMALL = {"vllm_flags.num-gpu-blocks-override": 256}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model."""
    require("vLLM", find_spec("vllm") is not None and find_spec("ray") is not None)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    subprocess.run([str(TIDEGATE), "model", "tiny", str(folder)], check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def engine_cell(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CellProcess]:
    """One cell for all tests that leave it serving."""
    cell = CellProcess(tiny_model, tmp_path_factory.mktemp("cell"), SMALL)
    try:
        yield cell.wait_ready()
    finally:
        cell.end()


MakeCell = Callable[..., CellProcess]


@pytest.fixture
def make_cell(tiny_model: Path, tmp_path: Path) -> Iterator[MakeCell]:
    """`make_cell({"replicas": 2}, model=folder)`: a cell of the test's own, not yet ready."""
    made: list[CellProcess] = []

    def make(settings: dict[str, Any] | None = None, model: Path = tiny_model) -> CellProcess:
        made.append(CellProcess(model, tmp_path, {**SMALL, **(settings or {})}))
        return made[-1]

    yield make
    for cell in made:
        cell.end()
