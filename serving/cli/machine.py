"""What this machine has: GPUs, memory, files, packages; it judges none of it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def gpus() -> list[str]:
    """The NVIDIA GPUs that `nvidia-smi` lists, one line each; empty where there is none or it does not work."""
    command = shutil.which("nvidia-smi")
    if not command:
        return []
    try:
        done = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.startswith("GPU ")] if done.returncode == 0 else []


def available_memory_bytes() -> int | None:
    """Memory that a new process may take: what the kernel calls available, or the container's limit if lower."""
    limits = [_memory_available(), _cgroup_limit()]
    return min((limit for limit in limits if limit is not None), default=None)


def free_bytes(folder: str) -> int | None:
    """Free space of the file system of a folder; None where there is no such folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def open_files_limit() -> int:
    """Files and sockets that one process may open; a process may raise its soft limit up to this by itself."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def installed(distribution: str) -> str | None:
    """The installed version of a distribution, without importing it."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _memory_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup_limit() -> int | None:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
    except OSError:
        return None
    return max(0, int(text) - int(used)) if text.isdigit() else None
