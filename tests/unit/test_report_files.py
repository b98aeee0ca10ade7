"""The report's files for other programs: what is written comes back, and says what the run did."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from loadtest.records import Rows
from loadtest.report import csv_file, files, json_file, junit
from loadtest.results import Check, Result
from loadtest.verdict import measures
from tests.support.load_run import World, run


def _run() -> tuple[Result, Rows]:
    return run(World(600, targets=2))


def _broken(tmp_path: Path, change: Any) -> Path:
    """A result.json in which `change` has been at work."""
    path = tmp_path / "result.json"
    tree = json.loads(json_file.dumps(_run()[0]))
    change(tree)
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    result, _ = _run()
    json_file.write(tmp_path / "result.json", result)
    assert repr(json_file.read(tmp_path / "result.json")) == repr(result)


def test_what_is_no_number_is_null_in_the_file_and_comes_back_as_nan(tmp_path: Path) -> None:
    result, _ = _run()
    probe = replace(result.probes[0], tpot=replace(result.probes[0].tpot, p50=math.nan))
    json_file.write(tmp_path / "result.json", replace(result, probes=(probe,)))
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["probes"][0]["tpot"]["p50"] is None
    assert math.isnan(json_file.read(tmp_path / "result.json").probes[0].tpot.p50)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(version=7), "version is 7, this Tidegate reads 1"),
        (lambda tree: tree["probes"][1].update(offered_rate="fast"), r"probes\[1\].offered_rate is str"),
        (lambda tree: tree["goodputs"][0]["rate"].update(median=1), "'median'"),
        (lambda tree: tree["probes"][0].pop("ttft"), "ttft"),
        (lambda tree: tree.update(probes=3), "probes is int, not list"),
    ],
)
def test_a_file_that_is_no_result_is_refused_by_the_field(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(json_file.ResultFileError, match=said):
        json_file.read(_broken(tmp_path, change))


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_what_is_no_file_or_no_json_is_refused_by_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(json_file.ResultFileError, match=r"old\.json"):
        json_file.read(path)


def test_every_request_is_a_line_with_its_measures_and_its_outcome(tmp_path: Path) -> None:
    result, rows = _run()
    csv_file.write_requests(tmp_path / "requests.csv", result, rows)
    with (tmp_path / "requests.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    ttft = measures.ttft(rows)
    assert len(lines) == len(rows)
    assert [line["ttft"] == "" for line in lines] == np.isnan(ttft).tolist()
    assert [float(line["ttft"]) for line in lines if line["ttft"]] == pytest.approx(ttft[~np.isnan(ttft)], abs=1e-5)
    judged = [line["outcome"] for line in lines if line["judged"] == "1"]
    assert judged.count("good") == sum(probe.outcomes["good"] for probe in result.probes)
    assert len(judged) == sum(sum(probe.outcomes.values()) for probe in result.probes)


def test_a_word_that_a_spreadsheet_would_run_is_defused(tmp_path: Path) -> None:
    result, rows = _run()
    rows["detail"] = b"=1+1"
    csv_file.write_requests(tmp_path / "requests.csv", result, rows)
    with (tmp_path / "requests.csv").open(encoding="utf-8") as file:
        assert {line["detail"] for line in csv.DictReader(file)} == {"'=1+1"}


def test_every_probe_is_a_line(tmp_path: Path) -> None:
    result, _ = _run()
    csv_file.write_probes(tmp_path / "probes.csv", result)
    with (tmp_path / "probes.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["offered_rate"]) for line in lines] == pytest.approx([p.offered_rate for p in result.probes])
    assert [line["verdict_0.95"] for line in lines] == [probe.verdicts["0.95"] for probe in result.probes]
    assert [int(line["good"]) for line in lines] == [probe.outcomes["good"] for probe in result.probes]


def test_junit_counts_what_it_holds_and_puts_children_in_the_order_of_the_schema() -> None:
    checks = (Check("min_goodput", False, "3 req/s against 4"), Check("cross-check", True, "2 comparisons hold"))
    suite = _suite(replace(_run()[0], checks=checks))
    cases = suite.findall("testcase")
    assert [child.tag for child in suite] == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
    assert int(suite.attrib["tests"]) == len(cases) == 6 + 2
    assert suite.attrib["failures"] == "1"
    assert suite.attrib["errors"] == suite.attrib["skipped"] == "0"
    assert {"name", "timestamp", "hostname", "time"} <= suite.attrib.keys()
    assert all({"classname", "name", "time"} == case.attrib.keys() for case in cases)
    failed = next(case.find("failure") for case in cases if case.find("failure") is not None)
    assert failed is not None
    assert failed.attrib == {"message": "3 req/s against 4", "type": "gate"}


def test_a_withheld_verdict_is_an_error_at_the_gates_quantile_and_skipped_at_others() -> None:
    result, _ = _run()
    suite = _suite(replace(result, goodputs=tuple(replace(g, withheld="the client lagged") for g in result.goodputs)))
    assert (suite.attrib["errors"], suite.attrib["skipped"], suite.attrib["failures"]) == ("2", "4", "0")


def test_junit_holds_any_text_that_a_server_or_a_machine_says() -> None:
    result, _ = _run()
    suite = _suite(replace(result, machine={"cpu\x00": "<&\x1b[31m\ud800"}, notes=("]]>\x07",)))
    assert suite.find("properties/property") is not None


def test_all_files_are_written_and_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    result, rows = _run()
    files.write_all(result, rows, tmp_path / "deep" / "report")
    paths = files.write_all(replace(result, notes=("again",)), rows, tmp_path / "deep" / "report")
    assert tuple(path.name for path in paths) == files.NAMES
    assert json_file.read(paths[1]).notes == ("again",)
    assert all(path.stat().st_size for path in paths)


def _suite(result: Result) -> ElementTree.Element:
    suite = ElementTree.fromstring(junit.dumps(result)).find("testsuite")
    assert suite is not None
    return suite
