"""The series of a running front are those of the recorded page, which tools are tested with that have no front."""

from __future__ import annotations

from serving.metrics import FrontSeries
from tests.support import front_exposition
from tests.support.front_exposition import FILE, SETTINGS, shape
from tests.support.world import MakeWorld


def test_a_front_tells_the_series_types_and_labels_of_the_recorded_page(fresh_world: MakeWorld) -> None:
    told = shape(front_exposition.told_by(fresh_world(settings=SETTINGS)))
    assert told == shape(FILE.read_text(encoding="utf-8")), "run `python -m tests.support.front_exposition`"


def test_the_recorded_page_has_every_series_that_others_read() -> None:
    found = shape(FILE.read_text(encoding="utf-8"))
    assert [name for name in FrontSeries if not {name, f"{name}_bucket"} & found.keys()] == []
