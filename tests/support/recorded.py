"""Runs of a front and a real vLLM 0.32 that were recorded: expositions before and after, and the client's rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from loadtest.records import ROW, Record, Rows, rows
from loadtest.server.exposition import Snapshots, parse

FOLDER = Path(__file__).parents[1] / "data" / "expositions"
ENGINE = "http://127.0.0.1:30000"


class Recorded:
    """`exact`: 37 answers and 3 refusals. `left`: 7 of 37 streams were left by their client midway."""

    def __init__(self, name: str) -> None:
        self._folder = FOLDER / name
        lines = (self._folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()
        self.records = [Record(*(_value(json.loads(line)[field]) for field in ROW.names or ())) for line in lines]

    @property
    def rows(self) -> Rows:
        return rows(self.records)

    def text(self, page: str) -> str:
        """`front_before`, `engine_after` and so on."""
        return (self._folder / f"{page}.txt").read_text(encoding="utf-8")

    def before(self, **changes: str) -> Snapshots:
        return self._snapshots("before", changes)

    def after(self, **changes: str) -> Snapshots:
        """`front` and `engine` replace a page."""
        return self._snapshots("after", changes)

    def _snapshots(self, when: str, pages: dict[str, str]) -> Snapshots:
        front, engine = (pages.get(tier) or self.text(f"{tier}_{when}") for tier in ("front", "engine"))
        return Snapshots(0.0, parse(front), {ENGINE: parse(engine)})


def _value(value: Any) -> Any:
    return math.nan if value is None else value
