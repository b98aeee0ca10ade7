"""Reports opened in the Chromium of this machine: what a reader sees, and all that the page asks of the world."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loadtest.records import Rows
from loadtest.report import page
from loadtest.results import Result
from tests.support.tiers import require

CHROMIUM = shutil.which("chromium")
_WAITS = 400


@dataclass
class Opened:
    """A report on screen."""

    view: Any
    complaints: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    def tip(self, chart: str) -> str:
        """What the chart's tip shows now; empty when it is hidden."""
        tip = self.view.locator(f'[data-chart="{chart}"] .tip')
        return str(tip.inner_text()) if tip.is_visible() else ""

    def resize(self, width: int) -> None:
        """To another width of the window, and until the charts are drawn for it."""
        self.view.set_viewport_size({"width": width, "height": 900})
        self.view.wait_for_timeout(300)

    def numbers(self, script: str) -> Any:
        """What a script finds on the page."""
        return self.view.evaluate(script)


Open = Callable[..., Opened]


# Playwright holds an event loop in this thread while it runs: no longer than one module of this tier.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    require("chromium", CHROMIUM is not None)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """`opened(result, rows, scheme="dark", width=1200)`: a report that is drawn."""
    contexts = []

    def show(run: tuple[Result, Rows], scheme: str = "light", width: int = 1200) -> Opened:
        path = tmp_path / "report.html"
        page.write(path, *run)
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        found = Opened(context.new_page())
        found.view.on("console", lambda message: found.complaints.append(message.text))
        found.view.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.view.on("request", lambda request: found.asked_for.append(request.url))
        found.view.goto(path.as_uri())
        _wait_until_drawn(found)
        return found

    yield show
    for context in contexts:
        context.close()


def _wait_until_drawn(found: Opened) -> None:
    """Asked again and again from here: the page's own policy forbids the eval that `wait_for_function` needs."""
    for _ in range(_WAITS):
        if found.numbers("performance.getEntriesByName('drawn').length") or found.complaints:
            return
        found.view.wait_for_timeout(25)
    raise AssertionError("the page did not draw itself")
