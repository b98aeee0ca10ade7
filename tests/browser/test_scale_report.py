"""The pages of `scale simulate` and `scale replay` in a browser: drawn in both schemes, asking for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscale import report
from autoscale.engine_profile import ASSUMED_H100_8B
from autoscale.replay import page
from autoscale.replay.page import Replayed
from autoscale.replay.recording import Span
from autoscale.replay.what_if import Change, Step
from autoscale.simulate.run import Settings, compare
from autoscale.simulate.startup import ColdStart
from autoscale.simulate.world import ClusterSettings
from tests.browser.conftest import Opened

pytestmark = pytest.mark.chromium
Show = Callable[[Path, str], Opened]
LAWS = ("tidegate", "playbook-value", "static-peak")

_PIXELS = "getComputedStyle(document.body).backgroundColor"
_OUTSIDE = """() => [...document.querySelectorAll('svg')].flatMap((picture) => {
  const whole = picture.getBoundingClientRect();
  return [...picture.querySelectorAll('text')].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < whole.left - 1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1;
  }).map((text) => text.textContent);
})"""


@pytest.fixture
def show(chromium: Any) -> Iterator[Show]:
    """`show(path, scheme)`: a page that is loaded."""
    contexts = []

    def opened(path: Path, scheme: str) -> Opened:
        context = chromium.new_context(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        found = Opened(context.new_page())
        found.view.on("console", lambda message: found.complaints.append(message.text))
        found.view.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.view.on("request", lambda request: found.asked_for.append(request.url))
        found.view.goto(path.as_uri())
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of a quarter of an hour."""
    path = tmp_path_factory.mktemp("laws") / "laws.html"
    settings = Settings(ClusterSettings(cold_start=ColdStart(30)), mean_replicas=1.5, hours=0.25)
    report.write(compare("ramp", LAWS, ASSUMED_H100_8B, settings), path)
    return path


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "replay.html"
    steps = [Step(15.0 * at, 1 + at // 40 % 3, 1, 2, {"need": at / 40, "kv": None}, "need") for at in range(240)]
    changes = [Change(600.0, 1, 2, "need", 1.0), Change(1200.0, 2, 3, "need", 2.0)]
    span = Span(1_795_716_000.0, 1_795_719_585.0, 15.0)
    page.write(Replayed("qwen", span, steps, changes, [("there were", "2")], ["kv: no answer"]), path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_laws_are_drawn_without_a_complaint_or_a_request(show: Show, simulated: Path, scheme: str) -> None:
    opened = show(simulated, scheme)
    opened.view.wait_for_selector('[data-chart="laws"] svg')
    assert opened.complaints == []
    assert [url.partition(":")[0] for url in opened.asked_for] == ["file"]
    rows = opened.view.locator("#laws tbody tr")
    assert {rows.nth(at).locator("td").first.inner_text() for at in range(rows.count())} == {*LAWS, "oracle"}
    for law in LAWS:
        drawn = opened.view.locator(f'[data-series="{law} wanted"]')
        assert len(drawn.get_attribute("d")) > 10, f"{law} has no line"
    assert opened.numbers(_OUTSIDE) == []


def test_another_law_is_chosen_and_its_signals_are_drawn(show: Show, simulated: Path) -> None:
    opened = show(simulated, "light")
    choice = opened.view.locator('[data-choice="law"]')
    assert opened.view.locator('[data-chart="signals"] [data-series="prefill"]').count() == 1
    choice.select_option("playbook-value")
    assert opened.view.locator('[data-chart="signals"] [data-series="ttft"]').count() == 1
    assert opened.view.locator('[data-chart="signals"] [data-series="prefill"]').count() == 0
    assert opened.complaints == []


def test_the_replay_is_drawn_without_a_script(show: Show, replayed: Path) -> None:
    for scheme in ("light", "dark"):
        opened = show(replayed, scheme)
        assert opened.complaints == []
        assert [url.partition(":")[0] for url in opened.asked_for] == ["file"]
        assert opened.view.locator("#changes tbody tr").count() == 2
        box = opened.view.locator("#replicas path.wanted").bounding_box()
        assert box["width"] > 800, "the line spans the range"
        assert box["height"] > 20, "and its steps are seen"
        assert opened.numbers(_OUTSIDE) == []


def test_both_pages_have_a_light_and_a_dark_ground(show: Show, simulated: Path, replayed: Path) -> None:
    for path in (simulated, replayed):
        assert show(path, "light").numbers(_PIXELS) != show(path, "dark").numbers(_PIXELS)
