"""Turns figures into a table and bars, prints them, and keeps the last full run in RESULTS.md; it measures nothing."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_TITLE = (
    "# Results\n\nThe last full run of each benchmark, written by `make bench`; [README.md](README.md) explains it.\n"
)


@dataclass(frozen=True)
class Bar:
    """An upper limit, or with `at_least` a lower one, on a figure; None means that it was not measured."""

    text: str
    value: float | None
    limit: float
    unit: str = "x"
    at_least: bool = False

    def held(self) -> bool:
        """Whether it was measured and is within the limit."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def verdict(self) -> str:
        """held, or by how much it was missed."""
        if self.value is None:
            return "NOT MEASURED"
        if self.held():
            return "held"
        beyond = f" ({abs(self.value / self.limit - 1):.0%})" if self.limit else ""
        return f"MISSED by {abs(self.value - self.limit):.3g} {self.unit}{beyond}"


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Ours over theirs, when both are known."""
    return ours / theirs if ours is not None and theirs else None


def bars_table(bars: Sequence[Bar]) -> str:
    """One line per bar: its text, what was measured, the limit, the verdict."""
    rows = []
    for bar in bars:
        measured = "-" if bar.value is None else f"{bar.value:.3g} {bar.unit}"
        rows.append([bar.text, measured, f"{'>=' if bar.at_least else '<='} {bar.limit:g} {bar.unit}", bar.verdict()])
    return table(["bar", "measured", "limit", "verdict"], rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is aligned for a terminal too."""
    widths = [max(len(line[column]) for line in [headers, *rows]) for column in range(len(headers))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in rows]
    head = " | ".join(cell.ljust(width) for cell, width in zip(headers, widths, strict=True))
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in [head, rule, *lines])


def machine() -> str:
    """Cores, memory and kernel in one line."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    kib = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    memory_gib = int(kib.group(1)) / 1024**2 if kib else 0.0
    name = cpu.group(1) if cpu else platform.machine()
    return f"{os.cpu_count()} cores ({name}), {memory_gib:.0f} GiB, Linux {platform.release()}"


def heading(versions: str, method: str, notes: Sequence[str]) -> str:
    """Date, machine and versions, the method, and the first line of every note."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    first = f"{today}, {machine()}. {versions}, Python {platform.python_version()}."
    return "\n".join([first, method.strip(), *(note.splitlines()[0] for note in notes)])


def keep(title: str, text: str, path: Path = RESULTS) -> None:
    """Replace the section of this title in the results file, or add it."""
    former = path.read_text(encoding="utf-8") if path.exists() else _TITLE
    head, *sections = re.split(r"(?m)^(?=## )", former)
    kept = {section.partition("\n")[0]: section.strip() for section in sections}
    kept[f"## {title}"] = f"## {title}\n\n{text.strip()}"
    path.write_text("\n\n".join([head.strip(), *kept.values()]) + "\n", encoding="utf-8")
