"""The HPA's `behavior` from YAML, with the API server's defaults and bounds."""

from __future__ import annotations

from typing import Literal, cast

from autoscale.decide.fields import Fields
from autoscale.decide.spec import Behavior, Policy, Rules, SpecError

_MOST_WINDOW_SECONDS = 3600
_MOST_PERIOD_SECONDS = 1800

DEFAULT_UP = Rules(0, "Max", (Policy("Percent", 100, 15), Policy("Pods", 4, 15)))
DEFAULT_DOWN = Rules(None, "Max", (Policy("Percent", 100, 15),))


def behavior(fields: Fields) -> Behavior:
    """A direction that is missing has its defaults."""
    fields.only(("scaleUp", "scaleDown"))
    return Behavior(_rules(fields.part("scaleUp"), DEFAULT_UP), _rules(fields.part("scaleDown"), DEFAULT_DOWN))


def _rules(fields: Fields, default: Rules) -> Rules:
    fields.only(("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"))
    window = default.window_seconds
    if "stabilizationWindowSeconds" in fields:
        window = fields.whole("stabilizationWindowSeconds", None, most=_MOST_WINDOW_SECONDS)
    select = cast(Literal["Max", "Min", "Disabled"], fields.one_of("selectPolicy", ("Max", "Min", "Disabled"), "Max"))
    policies = tuple(_policy(each) for each in fields.parts("policies")) if "policies" in fields else default.policies
    if not policies:
        raise SpecError(
            f"{fields.at('policies')}: is empty; leave it out for the defaults, or set selectPolicy Disabled"
        )
    return Rules(window, select, policies, _tolerance(fields) if "tolerance" in fields else None)


def _policy(fields: Fields) -> Policy:
    fields.only(("type", "value", "periodSeconds"))
    kind = cast(Literal["Pods", "Percent"], fields.one_of("type", ("Pods", "Percent"), ""))
    period = fields.whole("periodSeconds", None, least=1, most=_MOST_PERIOD_SECONDS)
    return Policy(kind, fields.whole("value", None, least=1), period)


def _tolerance(fields: Fields) -> float:
    """A quantity, e.g. 0.05 or 50m."""
    text = fields.quantity("tolerance")
    milli = text.endswith("m")
    try:
        value = float(text.removesuffix("m")) / (1000 if milli else 1)
    except ValueError as error:
        raise SpecError(f"{fields.at('tolerance')}: {text!r} is not a quantity; write e.g. 0.05") from error
    if value < 0:
        raise SpecError(f"{fields.at('tolerance')}: {text} must not be below 0")
    return value
