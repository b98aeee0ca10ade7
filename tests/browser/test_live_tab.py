"""The goodput tab of locust's web UI as Chromium shows it, over a real locust whose run is played."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.chromium
LOCUSTFILE = Path(__file__).with_name("live_locustfile.py")
ROOT = LOCUSTFILE.parents[2]


class Locust:
    """One locust with its web UI, running; `play` publishes a scene of the locustfile."""

    def __init__(self, report: Path, *options: str, path: str = "") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.report = report
        host = ["--web-host", "127.0.0.1", "--web-port", self.url.rsplit(":", 1)[1]]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--autostart", "-u", "1", *host, *options],
            cwd=ROOT,
            env={**os.environ, "LIVE_REPORT": str(report)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self.get("/play/floor")[0] == 200, 30, "locust")
        self.url += path

    def play(self, scene: str) -> None:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.url))
        urllib.request.urlopen(f"{origin}/play/{scene}").close()

    def get(self, path: str) -> tuple[int, str]:
        """Status and body, redirects not followed."""
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(self.url + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@pytest.fixture(scope="module")
def locust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locust]:
    """Shared: every test plays the scene that it looks at."""
    running = Locust(tmp_path_factory.mktemp("live") / "report.html")
    yield running
    running.end()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Fails the test on any script error."""
    errors: list[str] = []
    shown = chromium.new_page(color_scheme="light")
    shown.on("pageerror", lambda error: errors.append(str(error)))
    yield shown
    shown.close()
    assert not errors


def test_the_tab_of_locusts_ui_shows_the_running_probe(locust: Locust, page: Page) -> None:
    locust.play("probe")
    page.goto(locust.url)
    page.get_by_role("tab", name="Goodput").click()
    tab = page.frame_locator("iframe[title=Goodput]")
    expect(tab.get_by_text("Probe 4 of at most 15: 3/s")).to_be_visible()
    expect(tab.locator("#tiles")).to_contain_text("85.4 %")
    expect(tab.locator("#legend")).to_contain_text("slow TTFT 3")
    expect(tab.locator("#times tbody tr").first).to_contain_text("910 ms")


def test_the_frame_is_as_high_as_what_it_shows(locust: Locust, page: Page) -> None:
    locust.play("probe")
    page.goto(f"{locust.url}/?tab=goodput")
    expect(page.frame_locator("iframe").locator("#probes tbody tr")).to_have_count(3)
    frame = page.frames[1]
    page.wait_for_function("document.querySelector('iframe').offsetHeight > 900")
    assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_new_figures_come_without_a_reload(locust: Locust, page: Page) -> None:
    locust.play("floor")
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#phase")).to_have_text("Feasibility floor: idle latency")
    expect(page.locator("#probes")).to_be_hidden()
    locust.play("probe")
    expect(page.locator("#probes tbody tr")).to_have_count(3)
    expect(page.locator("#curve circle")).to_have_count(4)


def test_a_probe_that_ended_early_says_why(locust: Locust, page: Page) -> None:
    locust.play("probe")
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#probes tbody tr").first).to_contain_text("fail *")
    expect(page.locator("#remarks")).to_have_text("* Probe 3: ended early: the backlog grew")


def test_the_end_shows_goodputs_and_why_one_is_withheld(locust: Locust, page: Page) -> None:
    locust.play("done")
    page.goto(f"{locust.url}/goodput")
    tiles = page.locator("#goodputs > div")
    expect(tiles.nth(1)).to_contain_text("2.8/s")
    expect(tiles.nth(1)).to_contain_text("2.4/s \N{EN DASH} 3/s; 1.4/s per GPU")
    expect(tiles.nth(2)).to_contain_text("withheldno rate passed or failed at 99 %")
    expect(page.locator("#probe")).to_be_hidden()


def test_what_a_check_says_is_text_and_no_markup(locust: Locust, page: Page) -> None:
    locust.play("done")
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#checks li").nth(1)).to_have_text("✗ cross-check: <b>3</b>")


def test_the_report_opens_once_it_is_written(locust: Locust, page: Page) -> None:
    locust.play("done")
    locust.report.unlink(missing_ok=True)
    assert locust.get("/goodput/report")[0] == 404
    locust.report.write_text("<h1>The report</h1>", encoding="utf-8")
    page.goto(f"{locust.url}/goodput")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open the report").click()
    expect(opened.value.get_by_role("heading")).to_have_text("The report")


def test_a_figure_that_is_no_number_is_a_dash(locust: Locust, page: Page) -> None:
    locust.play("probe")
    assert "NaN" not in locust.get("/goodput/state.json")[1]
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#times tbody tr").nth(1).locator("td").nth(3)).to_have_text("\N{EN DASH}")


def test_nothing_is_loaded_from_elsewhere(locust: Locust, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    locust.play("probe")
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#phase")).to_contain_text("Probe 4")
    assert {urlsplit(url).path for url in asked} <= {"/goodput", "/goodput/state.json", "/favicon.ico"}
    assert all(url.startswith(locust.url) for url in asked)


def test_locusts_own_switch_turns_the_tab_dark(locust: Locust, page: Page) -> None:
    locust.play("probe")
    page.goto(f"{locust.url}/?tab=goodput")
    body = page.frame_locator("iframe").locator("body")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.locator("header button").last.click()
    expect(body).to_have_css("background-color", "rgb(18, 18, 18)")


def test_figures_of_a_locust_that_is_gone_are_named_as_old(tmp_path: Path, page: Page) -> None:
    locust = Locust(tmp_path / "report.html")
    page.goto(f"{locust.url}/goodput")
    expect(page.locator("#lost")).to_be_hidden()
    locust.end()
    expect(page.locator("#lost")).to_contain_text("the last ones that came")


def test_a_base_path_moves_the_tab_with_the_rest(tmp_path: Path, page: Page) -> None:
    locust = Locust(tmp_path / "report.html", "--web-base-path", "/load", path="/load")
    page.goto(f"{locust.url}/?tab=goodput")
    expect(page.frame_locator("iframe").locator("#phase")).to_contain_text("Feasibility floor")
    locust.end()


@pytest.mark.parametrize("path", ["", "/state.json", "/report", "/tab.js"])
def test_a_login_covers_every_route(guarded: Locust, path: str) -> None:
    assert guarded.get(f"/goodput{path}")[0] == 302


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locust]:
    running = Locust(tmp_path_factory.mktemp("guarded") / "report.html", "--web-login")
    yield running
    running.end()
