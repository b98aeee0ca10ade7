"""A cell that cannot start says why in one line, soon, and with a status that is not 0."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.engine.conftest import MakeCell

pytestmark = pytest.mark.timeout(200)


def test_a_wrong_flag_is_named_before_anything_starts(make_cell: MakeCell) -> None:
    started = time.monotonic()
    cell = make_cell({"vllm_flags.max-num-sqs": 8})
    assert cell.process.wait(10) == 2
    assert time.monotonic() - started < 5
    assert "engine.vllm_flags.max-num-sqs" in cell.output()
    assert "did you mean max-num-seqs" in cell.output()


def test_a_port_in_use_is_named(make_cell: MakeCell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cell = make_cell({"port": port})
        assert cell.process.wait(10) == 1
    assert f"127.0.0.1:{port}: Address already in use" in cell.output()


def test_a_folder_that_is_not_there_is_named(make_cell: MakeCell, tmp_path: Path) -> None:
    cell = make_cell(model=tmp_path / "none")
    assert cell.process.wait(10) == 2
    assert f"engine.model: there is no folder {tmp_path / 'none'}" in cell.output()


def test_what_only_vllm_can_judge_fails_the_start_with_its_words(make_cell: MakeCell) -> None:
    cell = make_cell({"max_model_len": 1_000_000})
    assert cell.process.wait(150) == 1
    last = cell.output().strip().splitlines()[-1]
    assert "max_model_len" in last
