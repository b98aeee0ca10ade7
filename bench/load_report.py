"""What the report of a million requests weighs, and how long it takes to write and to draw, beside one of 10,000."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from bench.processes import BenchError
from bench.report import Bar, ratio, table
from loadtest.report import page
from tests.support.load_run import World, run

HEADERS = ["requests", "HTML", "written in", "drawn in Chromium after"]
_SMALL, _LARGE = World(10_000, knee=4.0), World(1_000_000, knee=200.0)
_MOST_BYTES, _MOST_SECONDS = 2_000_000, 2.0
_LOADS = 5
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Figures:
    """Of one report; `drawn_seconds` from the begin of the navigation to the frame in which all charts stand."""

    requests: int
    size_bytes: int
    written_seconds: float
    drawn_seconds: float

    def row(self) -> list[str]:
        """For the table."""
        size = f"{self.size_bytes / 1000:.0f} kB"
        return [f"{self.requests:,}", size, f"{self.written_seconds:.2f} s", f"{self.drawn_seconds * 1000:.0f} ms"]


def measure(quick: bool = False) -> tuple[str, list[Bar]]:
    """Both reports as a table, and the bars of the large one. BenchError where there is no Chromium."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = (_figures(world, Path(folder), 2 if quick else _LOADS) for world in (_SMALL, _LARGE))
    slower = ratio(large.drawn_seconds, small.drawn_seconds) or 0.0
    text = f"{table(HEADERS, [small.row(), large.row()])}\n\nDrawing the large one takes {slower:.2f}x as long."
    return text, [
        Bar("HTML of 1 M requests", large.size_bytes / 1e6, _MOST_BYTES / 1e6, "MB"),
        Bar("1 M requests drawn in Chromium", large.drawn_seconds, _MOST_SECONDS, "s"),
    ]


def _figures(world: World, folder: Path, loads: int) -> Figures:
    result, rows = run(world)
    path = folder / f"{len(rows)}.html"
    began = time.perf_counter()
    page.write(path, result, rows)
    written = time.perf_counter() - began
    return Figures(len(rows), path.stat().st_size, written, statistics.median(_drawn(path, loads)))


def _drawn(path: Path, loads: int) -> list[float]:
    """Seconds of each load, a fresh context each; the first one warms the browser up and is not among them."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BenchError("chromium is not on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seconds = [_load(browser, path) for _ in range(loads + 1)]
        browser.close()
    return seconds[1:]


def _load(browser: Any, path: Path) -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    view.goto(path.as_uri())
    until = time.perf_counter() + _PATIENCE_SECONDS
    while not (marks := view.evaluate("performance.getEntriesByName('drawn').map((mark) => mark.startTime)")):
        if time.perf_counter() > until:
            raise BenchError(f"{path.name} did not draw itself within {_PATIENCE_SECONDS:g} s")
        view.wait_for_timeout(20)
    context.close()
    return float(marks[0]) / 1000


if __name__ == "__main__":
    print(measure()[0])
