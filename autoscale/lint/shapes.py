"""What a query can answer, from its form: how many series, NaN, which series and labels it reads; it asks nobody."""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.lint.promql import AGGREGATIONS, COMPARISONS
from autoscale.lint.promql_nodes import Binary, Call, Node, Number, Ranged, Selector, Text
from serving.metrics import VllmSeries

_ONE_SERIES = frozenset(["vector", "scalar", "absent", "absent_over_time", "time", "pi"])
_SEVERAL = ("count_values", "bottomk", "topk", "limitk", "limit_ratio")
_RATES = ("rate", "irate", "increase", "deriv", "delta", "idelta")
_RATIO_NAMES = ("_perc", "_percent", "_ratio", "_utilization", "_hit_rate", "saturation")
_ENGINE = VllmSeries.RUNNING.split(":")[0] + ":"


def walk(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)
    elif isinstance(node, Binary):
        yield from walk(node.left)
        yield from walk(node.right)
    elif isinstance(node, Ranged):
        yield from walk(node.inner)


def selectors(node: Node) -> list[Selector]:
    return [each for each in walk(node) if isinstance(each, Selector)]


def is_engine_series(metric: str) -> bool:
    return metric.startswith(_ENGINE)


def is_single(node: Node) -> bool:
    """At most one series, whatever Prometheus holds."""
    return _labels(node) == frozenset()


def _labels(node: Node) -> frozenset[str] | None:
    """Labels that tell the answer's series apart; None: whatever the source has."""
    if isinstance(node, Number | Text):
        return frozenset()
    if isinstance(node, Selector):
        return None
    if isinstance(node, Ranged):
        return _labels(node.inner)
    if isinstance(node, Binary):
        return _of_binary(node)
    return _of_call(node)


def _of_binary(node: Binary) -> frozenset[str] | None:
    left, right = _labels(node.left), _labels(node.right)
    if node.sign == "or":
        return left | right if left is not None and right is not None else None
    if node.sign in ("and", "unless") or isinstance(node.right, Number):
        return left
    if isinstance(node.left, Number):
        return right
    return left if left is not None and right is not None and left <= right else right


def _of_call(node: Call) -> frozenset[str] | None:
    if node.name in _ONE_SERIES:
        return frozenset()
    inner = _labels(node.arguments[-1]) if node.arguments else frozenset()
    if node.name in _SEVERAL:
        return None
    if node.name in AGGREGATIONS:
        if node.grouping == "without":
            return None if inner is None else inner - frozenset(node.labels)
        return frozenset(node.labels) if inner is None else frozenset(node.labels) & inner
    if node.name == "histogram_quantile":
        return None if inner is None else inner - {"le"}
    first = next((_labels(each) for each in node.arguments if not isinstance(each, Number | Text)), frozenset())
    return first


def may_be_nan(node: Node) -> bool:
    """A quantile without observations, or a division by what may be 0. A comparison lets no NaN through."""
    if isinstance(node, Binary):
        if node.sign in COMPARISONS:
            return False
        if node.sign in ("and", "unless"):
            return may_be_nan(node.left)
        if node.sign in ("/", "%") and may_be_zero(node.right):
            return True
        return may_be_nan(node.left) or may_be_nan(node.right)
    if isinstance(node, Call):
        return node.name == "histogram_quantile" or any(may_be_nan(each) for each in node.arguments)
    return isinstance(node, Ranged) and may_be_nan(node.inner)


def may_be_zero(node: Node) -> bool:
    if isinstance(node, Number):
        return node.value == 0
    if isinstance(node, Binary):
        if node.sign in (">", ">=") and isinstance(node.right, Number) and not node.is_bool:
            return node.right.value < 0 or (node.sign == ">=" and node.right.value == 0)
        if node.sign == "and":
            return may_be_zero(node.left) and not _has_floor(node.right)
        if node.sign in ("*", "/", "or"):
            return may_be_zero(node.left) or (node.sign != "/" and may_be_zero(node.right))
        return may_be_zero(node.left) and may_be_zero(node.right) if node.sign == "+" else True
    if isinstance(node, Call) and node.name == "clamp_min":
        return not (len(node.arguments) > 1 and isinstance(node.arguments[1], Number) and node.arguments[1].value > 0)
    return not (isinstance(node, Call) and node.name in ("count", "group"))


def _has_floor(node: Node) -> bool:
    return any(isinstance(each, Binary) and each.sign in (">", ">=") for each in walk(node))


def divides_by_rate(node: Node) -> bool:
    """Some denominator is a rate that may be next to nothing."""
    return any(
        isinstance(each, Binary)
        and each.sign == "/"
        and may_be_zero(each.right)
        and any(isinstance(part, Call) and part.name in _RATES for part in walk(each.right))
        for each in walk(node)
    )


def short_rates(node: Node, least_seconds: float) -> list[float]:
    """Windows of rates that are shorter."""
    return [
        each.arguments[0].range_seconds
        for each in walk(node)
        if isinstance(each, Call) and each.name in _RATES and each.arguments
        if isinstance(each.arguments[0], Selector) and 0 < each.arguments[0].range_seconds < least_seconds
    ]


def is_percentile(node: Node) -> bool:
    """The answer is, or is a clamp or sum of, a quantile: it does not add up over replicas."""
    core = _core(node)
    return isinstance(core, Call) and core.name in ("histogram_quantile", "quantile", "quantile_over_time")


def is_clamped(node: Node) -> bool:
    return any(isinstance(each, Call) and each.name in ("clamp_max", "clamp") for each in walk(node))


def is_ratio(node: Node) -> bool:
    """The answer is a share of something, which does not grow with the fleet: no sum of shares."""
    core = _core(node)
    if isinstance(core, Call) and core.name in ("avg", "max", "min", "quantile"):
        return any(each.metric.endswith(_RATIO_NAMES) for each in selectors(core))
    if isinstance(core, Selector):
        return core.metric.endswith(_RATIO_NAMES)
    return isinstance(core, Binary) and core.sign == "/" and _same_family(core)


def _same_family(node: Binary) -> bool:
    """Numerator and denominator sum the same unit, by name: used / total."""
    one, other = ({each.metric.rsplit("_", 1)[0] for each in selectors(side)} for side in (node.left, node.right))
    return bool(one & other) and not any("_sum" in each.metric for each in selectors(node.left))


def _core(node: Node) -> Node:
    """Without what changes no unit: clamps, `or vector(0)`, filters, smoothing over time."""
    if isinstance(node, Binary) and (node.sign in ("or", "and", "unless") or node.sign in COMPARISONS):
        return _core(node.left)
    if isinstance(node, Call) and node.name in ("clamp_max", "clamp_min", "clamp", "avg_over_time", "max_over_time"):
        return _core(node.arguments[0]) if node.arguments else node
    return _core(node.inner) if isinstance(node, Ranged) else node
