"""Child processes of a benchmark: started on a core, accounted with their own children, and always stopped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN_FOLDER = Path(".run/bench")
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 30.0


class BenchError(Exception):
    """A side or a load did not do what it was started for."""


@dataclass(frozen=True)
class Child:
    """A running process, with all that it has started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far, at nanosecond resolution."""
        return sum(_cpu_seconds(pid) for pid in tree(self.process.pid))

    def rss_mib(self) -> float:
        """Resident memory of the whole tree; pages shared within it count once per process."""
        return sum(_status_kib(pid, "VmRSS") for pid in tree(self.process.pid)) / 1024

    def peak_rss_mib(self) -> float:
        """The largest resident memory since `reset_peak`."""
        return sum(_status_kib(pid, "VmHWM") for pid in tree(self.process.pid)) / 1024

    def reset_peak(self) -> None:
        """Start a new peak at what is resident now."""
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def check_alive(self) -> None:
        """Raise with the end of its log when it has ended."""
        if self.process.poll() is not None:
            end = self.log.read_text(errors="replace").strip()[-2000:]
            reason = end.rpartition("\n")[2]
            raise BenchError(f"exit status {self.process.returncode}: {reason}\nThe end of {self.log}:\n{end}")


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], core: int | None, environ: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Start a child on `core` (any core when None), with `environ` over ours, and stop it at the end."""
    RUN_FOLDER.mkdir(parents=True, exist_ok=True)
    log = RUN_FOLDER / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
            preexec_fn=_pin_and_follow(core),
        )
    try:
        yield Child(name, process, log)
    finally:
        _stop(process)


def tree(pid: int) -> list[int]:
    """The process and its live descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for known in found:
        found.extend(children.get(known, ()))
    return found


def free_port() -> int:
    """A port nobody listens on, outside the ranges that outgoing connections and Ray's workers take theirs from."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(done: Callable[[], bool], child: Child, seconds: float) -> None:
    """Poll until `done`; raise when the child ends or time is up."""
    deadline = time.monotonic() + seconds
    while not done():
        child.check_alive()
        if time.monotonic() > deadline:
            raise BenchError(f"{child.name} was not ready within {seconds:g} s; see {child.log}")
        time.sleep(0.02)


def answers(url: str, body: bytes | None = None, key: str = "") -> bool:
    """Whether a GET, or a POST of `body`, is answered with 200."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _pin_and_follow(core: int | None) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def before_exec() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return before_exec


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _cpu_seconds(pid: int) -> float:
    """What clock_getcpuclockid(3) computes: the scheduler's clock of a process, threads that have ended included."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _status_kib(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
