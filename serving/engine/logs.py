"""Reads what a cell's replicas write to Ray's log files: what vLLM is doing, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_TAIL_BYTES = 64 * 1024
# (EngineCore pid=123) INFO 11-24 15:30:01 [core.py:105] Initializing ...
_VLLM_LINE = re.compile(r"(?P<level>INFO|WARNING|ERROR) \d\d-\d\d [\d:]+ \[[^\]]*\] (?P<text>\S.*\S)")
_ERROR = re.compile(r"(?:^|\s)(?:[a-z_0-9]+\.)*(?P<text>[A-Z]\w*(?:Error|Exception|Exit): .*\S)")
_PREFIX = re.compile(r"^\(\w+ pid=\d+\) (?:ERROR \d\d-\d\d [\d:]+ \[[^\]]*\] )?")
# These only say that something else failed.
_SECOND_HAND = (
    "Traceback (most recent",
    "Engine core initialization failed",
    "WorkerProc initialization failed",
    "Worker proc ",
)


def last_step(logs: Path) -> str | None:
    """vLLM's newest message, or None before its first."""
    step = None
    for line in _lines(logs):
        match = _VLLM_LINE.search(line)
        if match and match["level"] == "INFO":
            step = match["text"]
    return step


def root_cause(logs: Path, serve_message: str) -> str:
    """The one line that says why a replica did not start: the last error of its own in vLLM's or Serve's words."""
    for lines in ([*_lines(logs)], serve_message.splitlines()):
        for index, line in reversed([*enumerate(lines)]):
            match = _ERROR.search(line)
            if match and not any(text in match["text"] for text in _SECOND_HAND):
                return _with_details(match["text"], lines[index + 1 :])
    lines = [line.strip() for line in serve_message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _with_details(error: str, following: list[str]) -> str:
    """pydantic puts the field and its complaint on the lines after "1 validation error for ModelConfig"."""
    if " validation error" not in error:
        return error
    details = []
    for line in following[:3]:
        complaint, end, _ = line.partition(" [type=")
        details.append(_PREFIX.sub("", complaint).strip())
        if end:
            break
    return ": ".join(part for part in details if part)


def _lines(logs: Path) -> Iterator[str]:
    """The ends of the workers' files, oldest file first."""
    files = [*logs.glob("worker-*.out"), *logs.glob("worker-*.err")]
    for file in sorted(files, key=lambda each: each.stat().st_mtime):
        with file.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            yield from stream.read().decode("utf-8", errors="replace").splitlines()
