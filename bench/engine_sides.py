"""How each side of the engine benchmark is started: plain vLLM, our cell, and our front before our cell.

All get the same model, flags and environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bench import sides
from bench.processes import RUN_FOLDER, BenchError, Child, free_port
from bench.sides import TIDEGATE, Launch, Side

PLAIN, CELL, BOTH = "plain vLLM", "cell", "front + cell"
MAX_MODEL_LEN = 2048
_START_LIMIT_SECONDS = 300.0
_ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextlib.contextmanager
def all_up() -> Iterator[tuple[list[Side], dict[str, tuple[Child, ...]], list[str]]]:
    """The sides that started, whose processes serve each of them, and a line about each that did not start."""
    up: list[Side] = []
    serving: dict[str, tuple[Child, ...]] = {}
    missing: list[str] = []
    with contextlib.ExitStack() as stack:

        def start(launch: Launch, behind: tuple[Child, ...] = ()) -> None:
            print(f"starting {launch.name} ...", flush=True)
            try:
                side = stack.enter_context(sides.started(launch))
            except BenchError as error:
                missing.append(f"{launch.name} DID NOT START: {error}")
                print(f"!!! {missing[-1]}", flush=True)
                return
            up.append(side)
            serving[side.name] = (side.child, *behind)

        model = tiny_model()
        start(plain(model))
        start(_cell(model))
        if CELL in serving:
            start(_front(up[-1].port), serving[CELL])
        yield up, serving, missing


def tiny_model() -> Path:
    """The tiny model's folder, made when it is not there yet."""
    if find_spec("vllm") is None:
        raise BenchError("vLLM is not installed here: make setup-cpu")
    path = (RUN_FOLDER / "tiny-bfloat16").absolute()
    done = subprocess.run([TIDEGATE, "model", "tiny", str(path), "--dtype", "bfloat16"], check=False)
    if done.returncode:
        raise BenchError("the tiny model could not be made (see above)")
    return path


def plain(model: Path) -> Launch:
    port = free_port()
    options = {"--model": model, "--served-model-name": "tiny", "--port": port, "--max-model-len": MAX_MODEL_LEN}
    switches = ("--enforce-eager", "--enable-prefix-caching", "--enable-prompt-tokens-details")
    command = (
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"),
        *(str(text) for pair in options.items() for text in pair),
        *("--dtype", "bfloat16", *switches, "--disable-uvicorn-access-log"),
    )
    return Launch(PLAIN, _vllm_version(), command, port, None, _ENVIRON, start_limit_seconds=_START_LIMIT_SECONDS)


def _cell(model: Path) -> Launch:
    port = free_port()
    options = {"--model": str(model), "--served-model-name": "tiny", "--port": str(port)}
    command = (str(TIDEGATE), "engine", *(text for pair in options.items() for text in pair))
    settings = {
        "TIDEGATE_ENGINE__DEVICE": "cpu",
        "TIDEGATE_ENGINE__DTYPE": "bfloat16",
        "TIDEGATE_ENGINE__MAX_MODEL_LEN": str(MAX_MODEL_LEN),
    }
    environ = _ENVIRON | settings
    release = f"{version('tidegate')}, Ray {version('ray')}"
    return Launch(CELL, release, command, port, None, environ, start_limit_seconds=_START_LIMIT_SECONDS)


def _front(cell_port: int) -> Launch:
    quiet = sides.tidegate(cell_port)
    return Launch(BOTH, quiet.version, quiet.command, quiet.port, None, quiet.environ, quiet.ready_url)


def _vllm_version() -> str:
    with contextlib.suppress(ImportError):
        return version("vllm-cpu")
    return version("vllm")


def all_cores() -> str:
    """The cores of this process, as taskset wants them."""
    return ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
