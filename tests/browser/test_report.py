"""The report in a browser: it draws every shape of run, asks for nothing, and its marks are where the numbers say."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from loadtest.records import Rows
from loadtest.results import Result
from tests.browser import reports
from tests.browser.conftest import Open, Opened

Shape: TypeAlias = Callable[[], tuple[Result, Rows]]

pytestmark = pytest.mark.chromium

SECTIONS = (
    "verdict",
    "curve",
    "scatter",
    "timeline",
    "waterfall",
    "probes",
    "classes",
    "floor",
    "cost",
    "plan",
    "notes",
)

_OVERLAPS = """() => [...document.querySelectorAll('[data-chart] > svg')].flatMap((picture) => {
  const found = [...picture.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  return found.flatMap(([said, box], at) => found.slice(at + 1).filter(([, other]) => meet(box, other))
    .map(([other]) => `${picture.getAttribute('aria-label')}: ${said} | ${other}`));
})"""

_OUTSIDE = """() => [...document.querySelectorAll('[data-chart] > svg')].flatMap((picture) => {
  const whole = picture.getBoundingClientRect();
  return [...picture.querySelectorAll('text')].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < whole.left - 1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1;
  }).map((text) => text.textContent);
})"""

_SLO_BOX = """() => {
  const ticks = (axis, at) => [...document.querySelectorAll(`#scatter [data-axis=${axis}]`)]
    .map((tick) => [Number(tick.dataset.value), Number(tick.getAttribute(at))]);
  const box = document.querySelector('#scatter rect.slo');
  const [x, y, width] = ['x', 'y', 'width'].map((name) => Number(box.getAttribute(name)));
  return { x: ticks('x', 'x'), y: ticks('y', 'y').map(([value, at]) => [value, at - 4]), right: x + width, top: y };
}"""


_CURVE_TICKS = """() => [...document.querySelectorAll('#curve [data-axis=x]')]
  .map((tick) => [Number(tick.dataset.value), Number(tick.getAttribute('x'))])"""

_GOOD_DOTS = "document.querySelector('#scatter [data-chart] > svg .dots.good').getAttribute('d').length"


@pytest.mark.parametrize("shape", reports.SHAPES, ids=lambda shape: shape.__name__)
def test_every_shape_of_run_is_drawn_without_a_complaint_or_a_request(opened: Open, shape: Shape) -> None:
    report = opened(shape())
    report.view.emulate_media(color_scheme="dark")
    assert report.complaints == []
    assert [url.partition(":")[0] for url in report.asked_for] == ["file"]
    assert [name for name in SECTIONS if not report.view.locator(f"#{name}").is_visible()] == []
    assert report.view.locator("[data-chart]:empty").count() == 0


@pytest.mark.parametrize("shape", reports.SHAPES, ids=lambda shape: shape.__name__)
def test_no_label_lies_over_another_or_out_of_its_picture(opened: Open, shape: Shape) -> None:
    report = opened(shape())
    for width in (1200, 800):
        report.resize(width)
        assert report.numbers(_OVERLAPS) == []
        assert report.numbers(_OUTSIDE) == []


def test_colours_follow_the_system_until_the_reader_chooses(opened: Open) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        report = opened(reports.plain(), scheme)
        grounds[scheme] = _ground(report)
    assert grounds["light"] != grounds["dark"]
    report.view.click("#theme")
    assert _ground(report) == grounds["light"]
    report.view.click("#theme")
    assert _ground(report) == grounds["dark"]


def test_the_slo_box_ends_at_the_limits_on_both_log_axes(opened: Open) -> None:
    found = opened(reports.plain()).numbers(_SLO_BOX)
    assert found["right"] == pytest.approx(_on_log_axis(found["x"], 0.5), abs=1.5)
    assert found["top"] == pytest.approx(_on_log_axis(found["y"], 0.05), abs=1.5)


def test_the_goodput_is_marked_at_its_rate(opened: Open) -> None:
    result, rows = reports.plain()
    report = opened((result, rows))
    mark = report.view.locator("#curve [data-goodput]")
    ticks = report.numbers(_CURVE_TICKS)
    goodput = next(entry for entry in result.goodputs if entry.quantile == 0.95)
    (low, left), (high, right) = ticks[0], ticks[-1]
    at = left + (goodput.rate.value - low) / (high - low) * (right - left)
    assert float(mark.get_attribute("data-at")) == pytest.approx(at, abs=1.5)


def test_no_goodput_is_marked_where_it_is_withheld(opened: Open) -> None:
    report = opened(reports.withheld())
    assert report.view.locator("#curve [data-goodput]").count() == 0
    assert "No verdict" in report.view.locator("#verdict").inner_text()


@pytest.mark.parametrize("chart", ["curve", "scatter", "timeline", "waterfall", "floor"])
def test_values_show_under_the_pointer_and_go_with_it(opened: Open, chart: str) -> None:
    report = opened(reports.plain())
    picture = report.view.locator(f'[data-chart="{chart}"] > svg')
    picture.scroll_into_view_if_needed()
    seen = [report.tip(chart)]
    for share in (0.3, 0.45, 0.6):
        picture.hover(position=_inside(picture, share))
        seen.append(report.tip(chart))
    assert seen[0] == ""
    assert len(set(filter(None, seen))) >= 1
    report.view.mouse.move(0, 0)
    assert report.tip(chart) == ""


@pytest.mark.parametrize("chart", ["curve", "scatter", "timeline", "waterfall", "floor"])
def test_every_value_is_within_reach_of_the_keyboard(opened: Open, chart: str) -> None:
    report = opened(reports.plain())
    report.view.locator(f'[data-chart="{chart}"] > svg').focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "Home"):
        report.view.keyboard.press(key)
        seen.append(report.tip(chart))
    assert all(seen)
    assert seen[0] != seen[1]
    assert seen[3] == seen[0]
    report.view.keyboard.press("Escape")
    assert report.tip(chart) == ""


def test_hover_on_the_curve_tells_the_probe_as_the_result_has_it(opened: Open) -> None:
    result, rows = reports.plain()
    report = opened((result, rows))
    report.view.locator('[data-chart="curve"] > svg').focus()
    report.view.keyboard.press("Home")
    lowest = min(result.probes, key=lambda probe: probe.offered_rate)
    assert f"{lowest.offered_rate:g} req/s offered" in report.tip("curve")
    assert f"{lowest.attainment.value * 100:.2f}".rstrip("0").rstrip(".") + " %" in report.tip("curve")


def test_the_scatter_narrows_to_a_probe_and_hides_an_outcome(opened: Open) -> None:
    report = opened(reports.two_targets())
    whole = report.numbers(_GOOD_DOTS)
    report.view.select_option('[data-choice="probe"]', index=1)
    assert report.numbers(_GOOD_DOTS) < whole
    report.view.click('#scatter .legend button:has-text("good")')
    assert report.view.locator("#scatter [data-chart] > svg .dots.good").count() == 0
    assert report.complaints == []


def test_answers_without_tpot_and_requests_without_a_token_have_a_place_of_their_own(opened: Open) -> None:
    assert "no TPOT" in opened(reports.one_token()).view.locator("#scatter").inner_text()
    assert "no token" in opened(reports.all_failed()).view.locator("#scatter").inner_text()


def test_what_a_server_names_stays_text(opened: Open) -> None:
    report = opened(reports.hostile())
    assert report.view.title() != "taken"
    assert report.view.locator("img").count() == 0
    assert report.view.locator("h1").inner_text() == reports.HOSTILE


def test_the_pages_policy_forbids_whatever_a_script_would_load(opened: Open) -> None:
    report = opened(reports.plain())
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.settimeout(0.5)
        url = f"http://127.0.0.1:{outside.getsockname()[1]}/"
        tried = f"fetch('{url}').then(() => 'loaded', (error) => error.constructor.name)"
        assert report.numbers(tried) == "TypeError"
        report.numbers(f"void document.body.append(Object.assign(new Image(), {{ src: '{url}' }}))")
        with pytest.raises(TimeoutError):
            outside.accept()
    assert any("Content Security Policy" in said for said in report.complaints)


def test_a_narrow_window_draws_anew_without_a_sideways_page(opened: Open) -> None:
    report = opened(reports.plain(), width=1200)
    report.resize(420)
    assert report.complaints == []
    assert report.numbers("document.documentElement.scrollWidth") <= 420


def _ground(report: Opened) -> str:
    return str(report.numbers("getComputedStyle(document.body).backgroundColor"))


def _on_log_axis(ticks: list[list[float]], value: float) -> float:
    (low, start), (high, end) = ticks[0], ticks[-1]
    return start + math.log(value / low) / math.log(high / low) * (end - start)


def _inside(picture: Any, share: float) -> dict[str, float]:
    box = picture.bounding_box()
    return {"x": box["width"] * share, "y": box["height"] * share}
