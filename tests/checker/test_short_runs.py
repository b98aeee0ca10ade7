"""Short runs of the checker over each store, from fixed seeds. `python -m tests.checker` makes longer ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.checker import faults
from tests.checker.faults import Fault
from tests.checker.run import Report, run


def told(report: Report) -> Report:
    sys.stdout.write(f"{report}\n")
    return report


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("store", "seed"), [("sqlite", 11), ("postgres", 12), ("dynamodb-dynalite", 13)])
def test_every_acknowledged_turn_is_there_once_in_order_whatever_fails(tmp_path: Path, store: str, seed: int) -> None:
    report = told(run(tmp_path / "world", store, seed, seconds=12))
    assert not report.violations, str(report)
    assert report.counts["acked"] > 100, str(report)
    assert report.counts["failed"] + report.counts["broken"] > 0, str(report)


@pytest.mark.timeout(120)
def test_a_redis_that_is_flushed_again_and_again_fails_no_turn(tmp_path: Path) -> None:
    strikes = [Fault(3.5 + 0.4 * number, 0.1, "redis", "flushed") for number in range(12)]
    report = told(run(tmp_path / "world", "sqlite", 21, seconds=9, strikes=strikes))
    assert not report.violations, str(report)
    assert report.counts["failed"] == 0, str(report)
    assert report.histories["hot"] > 50, str(report)


@pytest.mark.timeout(120)
def test_a_redis_that_comes_back_with_old_data_forks_nothing(tmp_path: Path) -> None:
    strikes = [Fault(3.5, 1.5, "redis", "rewound"), Fault(8.5, 1.5, "redis", "rewound")]
    report = told(run(tmp_path / "world", "sqlite", 22, seconds=12, strikes=strikes))
    assert not report.violations, str(report)
    assert report.histories["hot"] > 50, str(report)


def test_a_seed_gives_the_same_faults_again_and_they_end_in_time() -> None:
    planned = faults.schedule(7, 20, "postgres")
    assert planned == faults.schedule(7, 20, "postgres")
    assert planned != faults.schedule(8, 20, "postgres")
    assert {fault.track for fault in planned} == {"redis", "store", "front"}
    assert all(fault.at + fault.seconds <= 20.02 for fault in planned)
