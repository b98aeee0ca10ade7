"""What the tests of rules share: the chart's rules and queries as rendered, and the series of tests/chart/rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.helm import render
from tests.support.promtool import Course, Samples

FOLDER = Path(__file__).with_name("rules")
_RATES = {"prefill_tokens_per_second": 15000, "decode_tokens_per_second": 3000, "headroom": 0.85, "drain_seconds": 30}
TARGETS = [
    {"name": "m", "workload": "engine-m", "model": "m", "maxReplicas": 4, "parameters": _RATES},
    {"name": "bare", "workload": "vllm", "model": "m", "maxReplicas": 4, "source": "engine", "parameters": _RATES},
]


def data(file: str) -> Any:
    return yaml.safe_load((FOLDER / f"{file}.yaml").read_text(encoding="utf-8"))


def groups(**values: Any) -> list[dict[str, Any]]:
    """The groups of the PrometheusRule that the chart renders for a front's target and one without a front."""
    return render("keda", {"targets": TARGETS, **values}).one("PrometheusRule")["spec"]["groups"]


def queries(source: str) -> dict[str, str]:
    """What KEDA asks for the target of that source, by the signal's name."""
    name = {"front": "m", "engine": "bare"}[source]
    every = render("keda", {"targets": TARGETS}).of("ScaledObject")
    scaled = next(one for one in every if one["metadata"]["name"] == name)
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}


def front_query() -> str:
    """What KEDA asks for the front itself, of a release `f` in prod."""
    (trigger,) = render("charts/tidegate", name="f").one("ScaledObject", "-front")["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


def world(change: Mapping[str, Course] | None = None) -> dict[str, Course]:
    """world.yaml with series changed: a key is a series, or a regular expression of many; None takes them away."""
    series: dict[str, Course] = data("world")
    for wanted, course in (change or {}).items():
        hit = [name for name in series if wanted == name or re.search(wanted, name)]
        assert hit or "{" in wanted, f"{wanted} changes nothing"
        series |= dict.fromkeys(hit or [wanted], course)
    return series


def labelled(samples: Mapping[str, float]) -> Samples:
    """Samples of recorded.yaml with the labels that nearly all have."""
    return {_labels(labels): value for labels, value in samples.items()}


def _labels(given: str) -> str:
    own = dict(re.findall(r'(\w+)="([^"]*)"', given))
    named = {"namespace": "prod", "model": "m"} | own
    return "{" + ",".join(f'{name}="{text}"' for name, text in named.items() if text) + "}"
