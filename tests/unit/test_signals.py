"""signals.yaml as data: closed, complete, and at one with the front's own numbers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscale import signals
from loadtest.slo import PRESETS
from serving.settings import FrontSettings

GIVEN = {"model": "m"}
FRONT = signals.load().front.model_dump()


def changed(folder: Path, change: dict[str, Any]) -> Path:
    content = yaml.safe_load(signals.PATH.read_text(encoding="utf-8"))
    file = folder / "signals.yaml"
    file.write_text(yaml.safe_dump(content | change), encoding="utf-8")
    return file


@pytest.mark.parametrize("source", ["front", "engine"])
def test_every_query_and_the_law_are_complete_on_one_line(source: signals.Source) -> None:
    file = signals.load()
    texts = [file.formula(GIVEN), *(file.query(name, source, GIVEN) for name in file.signals), file.front_query("f")]

    assert [text for text in texts if "<<" in text or "\n" in text] == []


def test_the_law_uses_every_signal_and_nothing_else() -> None:
    file = signals.load()
    words = set(re.findall(r"[a-z_]+", file.formula(GIVEN)))

    assert words - {"max", "min", "and", "or"} == set(file.signals)


def test_an_unknown_parameter_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no such parameter: prefil; known: model, matchers, window"):
        signals.load().query("prefill", "front", {**GIVEN, "prefil": 1})


def test_a_missing_model_is_asked_for() -> None:
    with pytest.raises(ValueError, match="the parameter model is needed: Served name"):
        signals.load().formula({})


@pytest.mark.parametrize(
    ("value", "text"), [(15000, "15000"), (1e6, "1000000"), (0.85, "0.85"), (12345678.5, "12345678.5")]
)
def test_a_number_stands_in_a_query_as_it_was_given(value: float, text: str) -> None:
    query = signals.load().query("prefill", "front", {**GIVEN, "prefill_tokens_per_second": value})

    assert query.endswith(f"/ ({text} * 0.95)")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"thresholds": {}}, "thresholds"),
        ({"front": {**FRONT, "threshold": 0}}, "front.threshold"),
        ({"front": {**FRONT, "when_absent": "zero"}}, "front.when_absent"),
        ({"slo": {"objective": 95, "least_requests": 20, "classes": {}}}, "slo.objective"),
        ({"recorded": {"a": [{"name": "a:b", "expr": "1", "unit": "s"}]}}, "recorded.a.0.description"),
        ({"alerts": [{"name": "A", "expr": "1", "description": "d", "summary": "s", "For": "5m"}]}, "alerts.0.For"),
        ({"alerts": [{"name": "A", "expr": "1", "description": "d", "summary": "s", "per": "pod"}]}, "alerts.0.per"),
    ],
)
def test_a_key_that_is_wrong_is_named(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        signals.load(changed(tmp_path, change))


def test_what_a_good_answer_is_is_the_same_to_the_rules_the_front_and_the_load_test() -> None:
    classes = signals.load().slo.classes
    front = FrontSettings().slo

    assert {name: limits.model_dump() for name, limits in classes.items()} == {
        name: limits.model_dump() for name, limits in front.items()
    }
    assert {name: (limits.ttft_seconds, limits.tpot_seconds) for name, limits in classes.items()} == {
        name: (PRESETS[name].ttft_seconds, PRESETS[name].tpot_seconds) for name in classes
    }


def test_each_burn_rate_can_be_reached_at_the_objective() -> None:
    """Burning a budget b times as fast means that b times the budget is bad: never more than all requests."""
    file = signals.load()
    burn = next(alert for alert in file.alerts if alert.name == "TidegateGoodputBurn")

    assert [one["factor"] for one in burn.each if float(one["factor"]) * (1 - file.slo.objective) >= 1] == []


def test_every_window_that_an_alert_looks_at_is_recorded() -> None:
    file = signals.load()
    by_name = {rule.name: {one["range"] for one in rule.each} for rule in file.recorded["budget"]}
    burn = next(alert for alert in file.alerts if alert.name == "TidegateGoodputBurn")

    assert {one[key] for one in burn.each for key in ("long", "short")} <= by_name[
        "tidegate:goodput:ratio_rate<<range>>"
    ]
    assert {one["long"] for one in burn.each} <= by_name["tidegate:slo_requests:increase<<range>>"]


def test_an_alert_says_its_severity_once() -> None:
    for alert in signals.load().alerts:
        by_instance = all("severity" in one for one in alert.each)

        assert (alert.severity is None) == by_instance, alert.name
        assert alert.for_ or all("for" in one for one in alert.each), alert.name
