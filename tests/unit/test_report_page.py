"""The page's text and the numbers behind its charts: escaped, complete, and of one size however many requests."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from loadtest.plan import TrafficClass
from loadtest.records import ROW, Rows
from loadtest.report import markup, page, text, units
from loadtest.report.charts import charts
from loadtest.results import Interval, Result
from loadtest.slo import Fault
from tests.browser.reports import HOSTILE, SHAPES, hostile, nothing, two_targets, withheld
from tests.support.load_run import World, run

_TAG = re.compile(r"<(script|img|style)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def made() -> tuple[Result, Rows]:
    return run(World(3000))


def _data(html: str) -> str:
    return html.partition('id="data">')[2].partition("</script>")[0]


def test_whatever_a_name_holds_is_text_on_the_page() -> None:
    html, plain = page.render(*hostile()), page.render(*run(World(3000)))
    assert len(_TAG.findall(html)) == len(_TAG.findall(plain))
    assert json.loads(_data(html))["targets"] == [HOSTILE]
    assert "&lt;/script&gt;" in html


def test_the_page_names_no_address_but_those_of_the_targets() -> None:
    html = page.render(*run(World(300))).replace("http://tidegate:8000", "")
    assert set(re.findall(r"https?://[\w.]+", html)) <= {"http://www.w3.org"}
    assert "src=" not in html
    assert "@import" not in html


@pytest.mark.parametrize("said", ["<b>", "&amp;", '"', "'"])
def test_text_and_attributes_are_escaped_and_markup_is_not_twice(said: str) -> None:
    inner = markup.element("i", said, title=said)
    assert markup.element("p", inner) == f"<p>{inner}</p>"
    for mark in "<>\"'":
        assert mark not in inner.removeprefix('<i title="').removesuffix("</i>").replace('">', "")


def test_json_in_a_script_cannot_end_it() -> None:
    written = markup.script_json({"a": "</script><!--\u2028"})
    assert "<" not in written
    assert "\u2028" not in written
    assert json.loads(written) == {"a": "</script><!--\u2028"}


def test_the_size_does_not_grow_with_the_requests() -> None:
    small, large = (len(page.render(*run(World(count, knee=50.0)))) for count in (20_000, 200_000))
    assert large < small * 1.5
    assert large < 500_000


def test_the_scatter_counts_every_judged_request_once(made: tuple[Result, Rows]) -> None:
    result, rows = made
    panels = charts(result, rows)["scatter"]["panels"]
    placed = sum(panel["total"] + panel["no_tpot"] + sum(panel["no_token"].values()) for panel in panels)
    assert placed == sum(sum(probe.outcomes.values()) for probe in result.probes)
    assert all(sum(panel["counts"]) == panel["total"] for panel in panels if panel["cells"])


def test_a_rare_outcome_is_in_the_sample() -> None:
    result, rows = run(World(60_000, knee=50.0))
    first = np.flatnonzero((rows["probe"] == 0) & (rows["fault"] == Fault.NONE))
    at = first[len(first) // 2]
    rows["last"][at] = rows["first"][at] + 5.0 * rows["output_tokens"][at]
    panel = charts(result, rows)["scatter"]["panels"][0]
    assert panel["total"] > len(panel["points"]["outcome"])
    assert 2 in panel["points"]["outcome"]


def test_the_same_run_gives_the_same_page(made: tuple[Result, Rows]) -> None:
    assert page.render(*made) == page.render(*made)


def test_outcomes_over_time_add_up_to_those_of_the_probes(made: tuple[Result, Rows]) -> None:
    result, rows = made
    (counts,) = charts(result, rows)["timeline"]["outcomes"]
    names = charts(result, rows)["outcomes"]
    for code, bins in enumerate(counts):
        assert sum(bins) == sum(probe.outcomes[names[code]] for probe in result.probes)


def test_series_that_were_not_scraped_for_a_while_have_a_gap_and_end_with_the_probes() -> None:
    time = charts(*two_targets())["timeline"]
    usage = next(series for series in time["series"] if series["name"] == "kv_usage")
    assert None in usage["values"]
    assert all(0 <= at <= time["end"] for at in usage["times"])


def test_requests_in_flight_are_counted_from_dispatch_to_end() -> None:
    result, _ = run(World(300))
    rows = np.zeros(3, ROW)
    rows["sent"], rows["ended"] = [0.0, 1.0, np.nan], [20.0, 20.0, np.nan]
    series = charts(replace(result, series=replace(result.series, unix=(), values={})), rows)["timeline"]["series"]
    assert [one["name"] for one in series] == ["client_in_flight"]
    assert max(series[0]["values"]) == 2
    assert series[0]["values"][-1] == 0


def test_the_worst_are_those_farthest_beyond_their_own_limits() -> None:
    result, rows = run(World(2000, knee=50.0, classes=(TrafficClass(), TrafficClass(slo="code", ttft_seconds=0.01))))
    worst = charts(result, rows)["waterfall"]
    assert len(worst) == 20
    assert [row["beyond"] for row in worst] == sorted((row["beyond"] for row in worst), reverse=True)
    assert {row["slo"] for row in worst} == {"code"}
    assert worst[0]["beyond"] == pytest.approx((worst[0]["first"] or worst[0]["ended"]) / 0.01, rel=0.02)


def test_a_request_without_a_token_has_waited_until_its_end() -> None:
    result, rows = run(World(600))
    at = int(np.flatnonzero(rows["probe"] == 0)[-1])
    rows["fault"][at], rows["first"][at], rows["last"][at] = Fault.TIMEOUT, np.nan, np.nan
    rows["ended"][at] = rows["scheduled"][at] + 500
    assert charts(result, rows)["waterfall"][0]["beyond"] == pytest.approx(1000)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_console_summary_is_short_and_holds_the_verdict(shape: object) -> None:
    result, _ = shape()  # type: ignore[operator]
    said = text.summary(result)
    assert len(said.splitlines()) <= 24
    for entry in result.goodputs:
        assert ("no verdict" if entry.withheld else units.span(entry.rate)) in said


def test_the_console_says_what_the_client_could_not_do_once_for_all_probes() -> None:
    said = text.summary(withheld()[0])
    assert said.count("The client was the limit in all probes: send lag p99 was 31 ms") == 1
    assert "No probe was run." in text.summary(nothing()[0])


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 %"), (0.9512, "95.1 %"), (0.99999, "99.99 %"), (1.0, "100 %"), (float("nan"), units.ABSENT)],
)
def test_a_share_is_never_rounded_up_to_all(value: float, said: str) -> None:
    assert units.share(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0005, "0.5 ms"), (0.412, "412 ms"), (1.239, "1.24 s"), (1116.0, "18.6 min"), (None, units.ABSENT)],
)
def test_times_have_three_digits_and_a_unit(value: float | None, said: str) -> None:
    assert units.seconds(value) == said


def test_an_interval_without_an_upper_end_is_a_lower_bound() -> None:
    assert units.span(Interval(8.0, 7.5, float("inf"))) == "7.5 or more"
