"""Laws by name, each made for one run from the same facts; which is best is not known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from autoscale.signals import Signals, Value
from autoscale.simulate import oracle
from autoscale.simulate.knee import Rates
from autoscale.simulate.laws import scaled_objects
from autoscale.simulate.laws.law import Law
from autoscale.simulate.laws.planned import Planned
from autoscale.simulate.laws.scaled import Scaled
from autoscale.simulate.laws.scaled_objects import Bounds, ScaledObject
from autoscale.simulate.traffic import Trace


class Setting(NamedTuple):
    """What laws are made from."""

    trace: Trace
    knees: Mapping[str, float]
    """Requests per second of a replica, by workload."""
    believed: Rates
    """What tidegate's law is told of a replica."""
    signals: Signals
    parameters: Mapping[str, Value]
    model: str
    ttft_seconds: float
    cold_start_seconds: float
    bounds: Bounds


class Named(NamedTuple):
    about: str
    make: Callable[[Setting], Law]


def law(name: str, setting: Setting) -> Law:
    """Raises `ValueError` for a name that is none."""
    if name not in LAWS:
        raise ValueError(f"law: {name!r} is none of {', '.join(LAWS)}")
    return LAWS[name].make(setting)


def document(setting: Setting) -> ScaledObject:
    """Tidegate's ScaledObject with what it is told of a replica."""
    told: dict[str, Value] = {
        "model": setting.model,
        "prefill_tokens_per_second": setting.believed.prefill,
        "decode_tokens_per_second": setting.believed.decode,
        **setting.parameters,
    }
    return scaled_objects.tidegate(setting.signals, told, setting.bounds)


def _planned(name: str, plan: Callable[[Setting], oracle.Plan]) -> Callable[[Setting], Law]:
    return lambda setting: Planned(name, plan(setting))


def _scaled(name: str, made: Callable[[Setting], ScaledObject]) -> Callable[[Setting], Law]:
    return lambda setting: Scaled(name, made(setting))


def _playbook(metric_type: str) -> Callable[[Setting], ScaledObject]:
    return lambda setting: scaled_objects.playbook(metric_type, setting.model, setting.bounds)


LAWS: Mapping[str, Named] = {
    "tidegate": Named("keda/signals.yaml: demand over profiled rates, with guards", _scaled("tidegate", document)),
    "llm-d": Named(
        "llm-d's SLO law: smoothed TTFT p90 over the SLO, a band from 0.40 to 0.55, credit for what starts",
        _scaled("llm-d", lambda s: scaled_objects.llm_d(s.model, s.ttft_seconds, s.bounds)),
    ),
    "playbook-default": Named(
        "KV usage above 0.75 or TTFT p90 above 0.5 s, as pasted: AverageValue",
        _scaled("playbook-default", _playbook("AverageValue")),
    ),
    "playbook-value": Named(
        "KV usage above 0.75 or TTFT p90 above 0.5 s, rightly typed: Value",
        _scaled("playbook-value", _playbook("Value")),
    ),
    "production-stack": Named(
        "more than 5 waiting requests a replica",
        _scaled("production-stack", lambda s: scaled_objects.production_stack(s.model, s.bounds)),
    ),
    "static-peak": Named(
        "as many replicas as the peak needs, all the time",
        _planned("static-peak", lambda s: oracle.peak(s.trace, s.knees)),
    ),
    "oracle": Named(
        "knows the offered rate of the future",
        _planned("oracle", lambda s: oracle.foreseen(s.trace, s.knees, s.cold_start_seconds)),
    ),
}
NAMES = tuple(LAWS)
