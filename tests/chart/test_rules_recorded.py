"""Every recording rule on the series of two fronts and two engines, by Prometheus' own arithmetic."""

import re
import shutil
from pathlib import Path

import pytest

from tests.chart.rules_world import data, groups, labelled, world
from tests.support import promtool
from tests.support.tiers import require

pytestmark = pytest.mark.promtool


@pytest.fixture(autouse=True)
def _promtool() -> None:
    require("promtool", shutil.which("promtool") is not None)


def test_prometheus_takes_every_rule(tmp_path: Path) -> None:
    promtool.check(tmp_path, groups())
    promtool.check(tmp_path, groups(namespace="prod", rules={"slo": {"objective": 0.99}}))


def test_every_recording_rule_sums_over_fronts_and_engines(tmp_path: Path) -> None:
    expected = data("recorded")
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}

    assert set(expected) == recorded
    promtool.expect(
        tmp_path,
        groups(),
        world(),
        {name: labelled(samples) for name, samples in expected.items()},
        at_seconds=3600,
    )


def test_rules_of_a_namespace_see_no_other(tmp_path: Path) -> None:
    elsewhere = {re.sub(r'namespace="prod"', 'namespace="other"', name): course for name, course in world().items()}
    expected = {name: labelled(samples) for name, samples in data("recorded").items() if "increase" not in name}

    promtool.expect(tmp_path, groups(namespace="prod"), world() | elsewhere, expected, at_seconds=900)


def test_without_traffic_ratios_and_quantiles_are_absent_and_never_nan(tmp_path: Path) -> None:
    idle = world({"_(total|bucket|count)": 0.0})
    ratios = [name for name in data("recorded") if re.search(r":(quantile|ratio_rate\w+)$", name)]

    promtool.expect(tmp_path, groups(), idle, {key: {} for key in ratios}, at_seconds=900)


def test_a_team_shares_the_tokens_of_its_own_namespace_only(tmp_path: Path) -> None:
    elsewhere = {
        re.sub(r'namespace="prod"', 'namespace="other"', name): course
        for name, course in world({'team="night"': None}).items()
    }
    shares = {f'model="",{labels}': share for labels, share in {'team="web"': 0.75, 'team="night"': 0.25}.items()}

    promtool.expect(
        tmp_path,
        groups(),
        world() | elsewhere,
        {"tidegate:team_output:ratio_rate1h": labelled({**shares, 'namespace="other",model="",team="web"': 1})},
        at_seconds=900,
    )


def test_answers_that_are_all_bad_are_a_goodput_of_nought_though_the_good_were_never_counted(tmp_path: Path) -> None:
    series = world({"tidegate_slo_good_total": None})

    promtool.expect(
        tmp_path, groups(), series, {"tidegate:goodput:ratio_rate5m": labelled({'class="chat"': 0})}, at_seconds=600
    )


def test_a_front_that_restarts_loses_no_requests_from_the_rates(tmp_path: Path) -> None:
    restarted = world({r'tidegate_slo_(good_)?total\{.*pod="f1"': [[0, 3], [1800, None], [1815, 3]]})

    promtool.expect(
        tmp_path,
        groups(),
        restarted,
        {"tidegate:slo_requests:rate5m": labelled({'class="chat"': 4})},
        at_seconds=3600,
    )
