"""What a query's tree is worth at a moment, in Prometheus' own arithmetic; it knows no signal and no law."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from autoscale.simulate.fleet import Floats
from autoscale.simulate.prometheus import Labels, Prometheus, Unreachable
from autoscale.simulate.prometheus_query import (
    COMPARISONS,
    Aggregate,
    Binary,
    Call,
    Expression,
    Number,
    Over,
    QueryError,
    Selector,
    parse,
)
from autoscale.simulate.prometheus_rates import increase, quantiles

Vector = dict[Labels, float]
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_OVER_TIME: Mapping[str, Callable[[Floats], float]] = {
    "max_over_time": lambda values: float(values.max()),
    "min_over_time": lambda values: float(values.min()),
    "avg_over_time": lambda values: float(values.mean()),
    "sum_over_time": lambda values: float(values.sum()),
    "count_over_time": lambda values: float(len(values)),
}
_AGGREGATIONS: Mapping[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "avg": lambda values: math.fsum(values) / len(values),
    "max": max,
    "min": min,
    "count": lambda values: float(len(values)),
}
_parsed = lru_cache(maxsize=256)(parse)


def instant(prometheus: Prometheus, query: str, at: float) -> list[float]:
    """The values that an instant query returns; empty where nothing matches. Raises `Unreachable`, `QueryError`."""
    if not prometheus.reachable:
        raise Unreachable("Prometheus does not answer")
    found = _value(prometheus, _parsed(query), at)
    return list(found.values()) if isinstance(found, dict) else [found]


def _value(source: Prometheus, of: Expression, at: float) -> Vector | float:
    match of:
        case Number(value):
            return value
        case Selector():
            latest = {labels: source.latest(column, at) for labels, column in source.named(of)}
            return {labels: value for labels, value in latest.items() if not math.isnan(value)}
        case Aggregate():
            return _aggregated(of, _vector(source, of.of, at))
        case Binary():
            return _binary(of, _value(source, of.left, at), _value(source, of.right, at))
        case Call():
            return _called(source, of, at)
        case Over():
            raise QueryError("a range stands outside of a function")


def _vector(source: Prometheus, of: Expression, at: float) -> Vector:
    found = _value(source, of, at)
    if not isinstance(found, dict):
        raise QueryError(f"a number where series belong: {of}")
    return found


def _aggregated(of: Aggregate, series: Vector) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in series.items():
        groups.setdefault(tuple(pair for pair in labels if pair[0] in of.by), []).append(value)
    return {labels: _AGGREGATIONS[of.operation](values) for labels, values in groups.items()}


def _binary(of: Binary, left: Vector | float, right: Vector | float) -> Vector | float:
    if of.sign in ("or", "and", "unless"):
        if not (isinstance(left, dict) and isinstance(right, dict)):
            raise QueryError(f"{of.sign} joins series, not numbers")
        return _joined(of, left, right)
    if not isinstance(left, dict) and not isinstance(right, dict):
        return float(_calculated(of.sign, left, right))
    both: Vector = {}
    for labels in left if isinstance(left, dict) else right if isinstance(right, dict) else ():
        one = left[labels] if isinstance(left, dict) else left
        other = right.get(labels) if isinstance(right, dict) else right
        if other is None:
            continue
        found = _calculated(of.sign, one, other)
        if of.sign not in COMPARISONS or of.as_bool:
            both[labels] = float(found)
        elif found:
            both[labels] = one if isinstance(left, dict) else other
    return both


def _joined(of: Binary, left: Vector, right: Vector) -> Vector:
    def matched(labels: Labels, among: Vector) -> bool:
        return bool(among) if of.on_nothing else labels in among

    if of.sign == "or":
        return left | {labels: value for labels, value in right.items() if not matched(labels, left)}
    return {labels: value for labels, value in left.items() if matched(labels, right) == (of.sign == "and")}


def _calculated(sign: str, left: float, right: float) -> float:
    if sign != "/":
        return _ARITHMETIC[sign](left, right)
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _called(source: Prometheus, of: Call, at: float) -> Vector:
    first = of.arguments[0]
    if of.function == "vector":
        return {(): _number(source, first, at)}
    if of.function in ("clamp_min", "clamp_max"):
        bound, pick = _number(source, of.arguments[1], at), max if of.function == "clamp_min" else min
        return {labels: pick(value, bound) for labels, value in _vector(source, first, at).items()}
    if of.function == "histogram_quantile":
        return quantiles(_number(source, first, at), _vector(source, of.arguments[1], at))
    if not isinstance(first, Over):
        raise QueryError(f"{of.function} of this argument is beyond the simulated Prometheus")
    ranges = _ranges(source, first, at)
    if of.function in ("rate", "increase"):
        per = first.seconds if of.function == "rate" else 1.0
        grown = {labels: increase(*points, at - first.seconds, at) for labels, points in ranges.items()}
        return {labels: value / per for labels, value in grown.items() if value is not None}
    if of.function not in _OVER_TIME:
        raise QueryError(f"{of.function}() is beyond the simulated Prometheus")
    return {labels: _OVER_TIME[of.function](values) for labels, (_, values) in ranges.items() if len(values)}


def _number(source: Prometheus, of: Expression, at: float) -> float:
    found = _value(source, of, at)
    if isinstance(found, dict):
        raise QueryError(f"series where a number belongs: {of}")
    return found


def _ranges(source: Prometheus, of: Over, at: float) -> dict[Labels, tuple[Floats, Floats]]:
    if of.step_seconds is None:
        if not isinstance(of.of, Selector):
            raise QueryError("a range of an expression needs a step")
        return {labels: source.within(column, at - of.seconds, at) for labels, column in source.named(of.of)}
    found: dict[Labels, list[tuple[float, float]]] = {}
    for moment, series in _moments(source, of, of.step_seconds, at).items():
        for labels, value in series.items():
            found.setdefault(labels, []).append((moment, value))
    pairs = {labels: np.array(points).T for labels, points in found.items()}
    return {labels: (pair[0], pair[1]) for labels, pair in pairs.items()}


def _moments(source: Prometheus, of: Over, step_seconds: float, at: float) -> dict[float, Vector]:
    """A subquery's steps in (at - range, at], each evaluated once in a run."""
    before = source.past.get(of, {})
    first, last = math.floor((at - of.seconds) / step_seconds) + 1, math.floor(at / step_seconds)
    found: dict[float, Vector] = {}
    for moment in (step * step_seconds for step in range(first, last + 1)):
        known = before.get(moment)
        found[moment] = _vector(source, of.of, moment) if known is None else known
    source.past[of] = found
    return found
