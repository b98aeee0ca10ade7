"""The peer from PyPI in an environment of its own; the bench installs it, the project does not depend on it."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from bench.processes import BenchError

VERSION = "0.1.17"
FOLDER = Path(".venv-bench")
PROGRAM = FOLDER / "bin/vllm-router"


def ensure() -> Path:
    """The vllm-router program, installed when it is not there yet."""
    if PROGRAM.exists() and _installed() == VERSION:
        return PROGRAM
    print(f"Installing vllm-router {VERSION} into {FOLDER}/ (about 25 MB, once) ...", flush=True)
    venv.create(FOLDER, with_pip=True)
    done = subprocess.run([_python(), "-m", "pip", "install", f"vllm-router=={VERSION}"], check=False)
    if done.returncode or not PROGRAM.exists():
        raise BenchError(f"pip could not install vllm-router {VERSION} (see above)")
    return PROGRAM


def _python() -> str:
    return str(FOLDER / "bin/python")


def _installed() -> str:
    code = "from importlib.metadata import version; print(version('vllm-router'))"
    done = subprocess.run([_python(), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()
