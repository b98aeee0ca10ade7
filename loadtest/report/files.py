"""Which files a run leaves in its folder; what is in each is the business of the modules beside it."""

from __future__ import annotations

from pathlib import Path

from loadtest.records import Rows
from loadtest.report import csv_file, json_file, junit, page
from loadtest.results import Result

NAMES = ("report.html", "result.json", "requests.csv", "probes.csv", "junit.xml")


def write_all(result: Result, rows: Rows, folder: Path) -> tuple[Path, ...]:
    """All of NAMES, in that order; what an earlier run left under these names is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / name for name in NAMES)
    html, tree, requests, probes, ci = paths
    json_file.write(tree, result)
    page.write(html, result, rows)
    csv_file.write_requests(requests, result, rows)
    csv_file.write_probes(probes, result)
    junit.write(ci, result)
    return paths
