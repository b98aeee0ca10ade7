"""The live snapshot of a run as what a browser can be sent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from loadtest.live import Live, Running, Snapshot
from loadtest.plan import Plan, Target
from loadtest.results import Interval


def live() -> Live:
    return Live(Plan(targets=(Target(base_url="http://localhost/v1", api_key="sk-secret"),)))


def test_figures_of_numpy_and_figures_that_are_none_are_json() -> None:
    run = live()
    shown = Interval(np.float64(0.5), math.nan, math.inf)
    run.publish(Snapshot("probe", running=Running(0, 0, 2.0, 1.0, 30.0, attainment=shown, in_flight=np.int64(3))))
    sent = json.loads(json.dumps(run.snapshot(), allow_nan=False))
    assert sent["running"]["attainment"] == {"value": 0.5, "low": None, "high": None}
    assert sent["running"]["in_flight"] == 3


def test_every_snapshot_has_a_version_of_its_own() -> None:
    run = live()
    first = run.snapshot()["version"]
    run.publish(Snapshot("floor"))
    assert run.snapshot()["version"] > first


def test_neither_a_key_nor_a_path_is_shown() -> None:
    run = live()
    run.publish(Snapshot("done", report=Path("/home/anna/report.html")))
    assert run.snapshot()["report"] is True
    assert not {"sk-secret", "anna"} & set(json.dumps(run.snapshot()).replace("/", '"').split('"'))
