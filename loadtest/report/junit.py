"""junit.xml for a CI: a test case per goodput and per check of the gate; a withheld verdict is an error."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from xml.etree import ElementTree

from loadtest.plan import Plan
from loadtest.report import units
from loadtest.report.words import figure, goodput_words, target_name
from loadtest.results import Check, Goodput, Result

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, result: Result) -> None:
    """One suite."""
    path.write_bytes(dumps(result))


def dumps(result: Result) -> bytes:
    """The XML: what all CI servers read, and no attribute beyond it; children in their order."""
    plan = Plan.model_validate(result.plan)
    cases = [_goodput(plan, entry) for entry in result.goodputs] + [_check(check) for check in result.checks]
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", _suite(plan, result, cases))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {**result.machine, "seed": str(plan.seed)}.items():
        ElementTree.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(result.notes))
    ElementTree.SubElement(suite, "system-err")
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _suite(plan: Plan, result: Result, cases: list[ElementTree.Element]) -> dict[str, str]:
    kinds = {"errors": "error", "failures": "failure", "skipped": "skipped"}
    return {
        "name": f"tidegate bench {plan.kind}",
        "timestamp": result.began[:19],
        "hostname": platform.node() or "localhost",
        "tests": str(len(cases)),
        **{name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in kinds.items()},
        "time": f"{result.seconds:.3f}",
    }


def _goodput(plan: Plan, entry: Goodput) -> ElementTree.Element:
    """Only the gate's quantile can fail a build: a stricter one that a short run cannot decide is skipped."""
    name = f"goodput of {target_name(plan, entry.target)} at q {entry.quantile:g}"
    case = _case("tidegate.goodput", name)
    if not entry.withheld:
        said = f"{figure(entry)} req/s, 95 % interval {units.span(entry.rate)}; {goodput_words(entry)}"
        ElementTree.SubElement(case, "system-out").text = _clean(said)
    elif abs(entry.quantile - plan.gate.quantile) < 1e-9:
        ElementTree.SubElement(case, "error", message=_clean(entry.withheld), type="no_verdict").text = _clean(
            entry.withheld
        )
    else:
        ElementTree.SubElement(case, "skipped", message=_clean(entry.withheld))
    return case


def _check(check: Check) -> ElementTree.Element:
    case = _case("tidegate.gate", check.name)
    if check.holds:
        ElementTree.SubElement(case, "system-out").text = _clean(check.message)
    else:
        ElementTree.SubElement(case, "failure", message=_clean(check.message), type="gate").text = _clean(check.message)
    return case


def _case(kind: str, name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", classname=kind, name=_clean(name), time="0")


def _clean(text: str) -> str:
    """XML has no way to write the other characters, not even escaped."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
