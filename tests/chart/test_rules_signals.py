"""Each signal's query, as the ScaledObject has it: one finite number or, where that is an error, no series."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from autoscale import signals
from tests.chart.rules_world import data, front_query, queries, world
from tests.support import promtool
from tests.support.tiers import require

pytestmark = pytest.mark.promtool
CASES = data("signals")
# Namespaces and pods whose requests are not those of the release's front.
NOT_ITS_OWN = (("other", "f-front-a"), ("prod", "g-front-a"), ("prod", "f-frontier"))


@pytest.fixture(autouse=True)
def _promtool() -> None:
    require("promtool", shutil.which("promtool") is not None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_signal_is_one_number_or_an_error(case: dict[str, Any], tmp_path: Path) -> None:
    for source in ("front", "engine"):
        wanted = case.get(source, {})
        expected = {
            query: {} if wanted[name] is None else {"{}": wanted[name]}
            for name, query in queries(source).items()
            if name in wanted
        }
        promtool.expect(tmp_path, [], world(case.get("change")), expected, at_seconds=case.get("at", 900))


@pytest.mark.parametrize("source", ["front", "engine"])
def test_what_may_be_absent_is_what_the_file_says(source: signals.Source) -> None:
    without = {"front": "the fronts are gone", "engine": "no engine, the front holds"}[source]
    gone = next(case for case in CASES if case["name"] == without)

    absent = {name for name, value in gone[source].items() if value is None}

    assert absent == {name for name, signal in signals.load().signals.items() if signal.when_absent == "error"}


@pytest.mark.parametrize(
    ("change", "total"),
    [
        ({}, 42),
        ({"tidegate_requests_in_flight.*f1": None}, 12),
        ({"tidegate_requests_in_flight": 0}, 0),
        # An error to KEDA: nothing shrinks because no front was scraped.
        ({"tidegate_requests_in_flight": None}, None),
    ],
)
def test_what_scales_the_front_is_what_its_own_pods_have_in_flight(
    change: dict[str, Any], total: float | None, tmp_path: Path
) -> None:
    series = {re.sub(r'pod="(f\d)"', r'pod="f-front-\1"', name): course for name, course in world(change).items()}
    others = {f'tidegate_requests_in_flight{{namespace="{space}",pod="{pod}"}}': 99 for space, pod in NOT_ITS_OWN}

    expected = {} if total is None else {"{}": total}
    promtool.expect(tmp_path, [], series | others, {front_query(): expected}, at_seconds=900)
