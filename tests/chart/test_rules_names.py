"""Every raw series that a query names is one of a real front or a real vLLM 0.32, with the labels it is asked by."""

import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chart.rules_world import front_query, groups, queries
from tests.support.helm import ROOT
from tests.support.tiers import require
from tests.support.world import World, Worlds

_SELECTOR = re.compile(r"(?<![\w:])([a-zA-Z_][\w:]*)\{([^}]*)\}")
_RAW = re.compile(r"(?<![\w:])((?:tidegate_|vllm:)\w+)(\{?)")
_GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
_MATCHED = re.compile(r"(\w+)(?==|!=)")
# Prometheus itself puts these on what it scrapes; `model` of an engine is made of its `model_name`.
_SCRAPED = {"namespace", "pod", "job", "instance"}

Labels = dict[str, set[str]]


def expressions() -> list[str]:
    """What the charts hand to Prometheus and KEDA, of a target with a front and one without, and of the front."""
    asked = [query for source in ("front", "engine") for query in queries(source).values()]
    return [front_query(), *asked] + [rule["expr"] for group in groups(namespace="prod") for rule in group["rules"]]


def labels_of(exposition: str) -> Labels:
    """Names of an exposition with the labels that their samples have; a family without samples has none to show."""
    found: Labels = defaultdict(set)
    for family in text_string_to_metric_families(exposition):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for ending in endings:
            found.setdefault(family.name + ending, set())
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


@pytest.fixture(scope="module")
def front(worlds: Worlds) -> Labels:
    """A running front with a Redis that it cannot reach, after one stream."""
    world: World = worlds.new(settings={"front.redis": "redis://127.0.0.1:9/0"})
    try:
        assert world.say().status == 200
        return labels_of(world.front.get(f"{world.front.admin_url}/metrics")[1])
    finally:
        world.end()


@pytest.fixture(scope="module")
def engine() -> Labels:
    return labels_of((ROOT / "tests/data/expositions/engine_busy.txt").read_text(encoding="utf-8"))


def declared_by_vllm() -> set[str]:
    """Names in the source of the installed vLLM: the captured exposition is of those that are read by others."""
    spec = importlib.util.find_spec("vllm")
    require("vLLM", spec is not None)
    source = Path(spec.origin).parent / "v1/metrics/loggers.py"
    return set(re.findall(r'"(vllm:\w+)"', source.read_text(encoding="utf-8")))


def test_every_series_of_the_front_is_one_that_a_front_has(front: Labels) -> None:
    asked = {name for expr in expressions() for name, _ in _RAW.findall(expr) if name.startswith("tidegate_")}

    assert len(asked) > 10
    assert asked - front.keys() == set()


def test_every_series_of_an_engine_is_one_that_vllm_has(engine: Labels) -> None:
    asked = {name for expr in expressions() for name, _ in _RAW.findall(expr) if name.startswith("vllm:")}
    others = {name for name in asked - engine.keys() if re.sub(r"_total$", "", name) not in declared_by_vllm()}

    assert len(asked) > 5
    assert others == set()


def test_every_label_that_a_query_matches_is_there(front: Labels, engine: Labels) -> None:
    known = front | engine
    wrong = {
        (name, label)
        for expr in expressions()
        for name, matchers in _SELECTOR.findall(expr)
        if known.get(name)
        for label in _MATCHED.findall(matchers)
        if label not in known[name] | _SCRAPED
    }

    assert wrong == set()


def test_every_label_that_a_query_groups_by_is_on_one_of_its_series(front: Labels, engine: Labels) -> None:
    known = front | engine
    wrong = {
        (label, expr)
        for expr in expressions()
        if all(known.get(name) for name, _ in _RAW.findall(expr))
        for labels in _GROUPED.findall(expr)
        for label in labels.split(", ")
        if (names := [name for name, _ in _RAW.findall(expr)])
        and label not in {"model", *_SCRAPED}.union(*(known[name] for name in names))
    }

    assert wrong == set()


def test_no_raw_series_is_asked_for_without_a_selector() -> None:
    """Without one, a release would see the series of every other."""
    bare = {name for expr in expressions() for name, brace in _RAW.findall(expr) if not brace}

    assert bare == set()
