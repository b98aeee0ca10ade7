"""The operators and functions of a formula as typed closures, with expr-lang's arithmetic; it knows no syntax."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["bool", "int", "float"]
"""A trigger's value is a float; a literal without point or exponent is an int, and so is what only ints make."""
Values = Mapping[str, float | None]
Run = Callable[[Values], Any]


class FormulaError(ValueError):
    """A formula that cannot be compiled or evaluated; the text says where and why."""


class Node(NamedTuple):
    """A part of a formula; `at` is where it begins, in characters."""

    kind: Kind
    run: Run
    at: int


class Function(NamedTuple):
    """A built-in of expr-lang; `arguments` None: one or more."""

    arguments: int | None
    call: Callable[..., float]
    is_float: bool


def divide(left: float, right: float) -> float:
    """Always a float; by zero as IEEE 754 has it."""
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def power(base: float, exponent: float) -> float:
    """Go's math.Pow: what Python refuses is NaN or infinite."""
    try:
        return math.pow(base, exponent)
    except ValueError:
        return math.inf if base == 0 else math.nan
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf


def remainder(left: int, right: int) -> int:
    """With the sign of the left side, as in Go."""
    if right == 0:
        raise FormulaError("% by zero")
    return int(math.fmod(left, right))


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else float(value)


def _round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


FUNCTIONS: Mapping[str, Function] = {
    "max": Function(None, max, False),
    "min": Function(None, min, False),
    "abs": Function(1, abs, False),
    "ceil": Function(1, _whole(math.ceil), True),
    "floor": Function(1, _whole(math.floor), True),
    "round": Function(1, _whole(_round), True),
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "**": power,
    "^": power,
    "%": remainder,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY: Mapping[str, Callable[[Any, Any], bool]] = {"==": operator.eq, "!=": operator.ne}


def binary(sign: str, left: Node, right: Node, at: int) -> Node:
    """Raises `FormulaError` where the kinds do not fit the operator, as expr-lang's compiler does."""
    one, other = left.run, right.run
    if sign in ("&&", "and"):
        _need((left, right), "bool", sign)
        return Node("bool", lambda values: one(values) and other(values), at)
    if sign in ("||", "or"):
        _need((left, right), "bool", sign)
        return Node("bool", lambda values: one(values) or other(values), at)
    if sign == "??":
        return Node(left.kind, lambda values: other(values) if (got := one(values)) is None else got, at)
    if sign in _EQUALITY:
        same = _EQUALITY[sign]
        if (left.kind == "bool") != (right.kind == "bool"):
            raise FormulaError(f"{sign} compares a truth value with a number (at character {at + 1})")
        return Node("bool", lambda values: same(one(values), other(values)), at)
    _need((left, right), "number", sign)
    if sign in _COMPARISONS:
        compare = _COMPARISONS[sign]
        return Node("bool", lambda values: compare(one(values), other(values)), at)
    both_int = left.kind == right.kind == "int"
    if sign == "%" and not both_int:
        raise FormulaError(f"% takes whole numbers, and a trigger's value is none (at character {at + 1})")
    calculate = _ARITHMETIC[sign]
    kind: Kind = "int" if both_int and sign in ("+", "-", "*", "%") else "float"
    return Node(kind, lambda values: calculate(one(values), other(values)), at)


def unary(sign: str, inner: Node, at: int) -> Node:
    run = inner.run
    if sign in ("!", "not"):
        _need((inner,), "bool", sign)
        return Node("bool", lambda values: not run(values), at)
    _need((inner,), "number", sign)
    return Node(inner.kind, (lambda values: -run(values)) if sign == "-" else (lambda values: +run(values)), at)


def choose(condition: Node, yes: Node, no: Node) -> Node:
    _need((condition,), "bool", "?")
    if (yes.kind == "bool") != (no.kind == "bool"):
        raise FormulaError(f"one side of ? : is a number, the other is not (at character {no.at + 1})")
    test, then, otherwise = condition.run, yes.run, no.run
    kind: Kind = yes.kind if yes.kind == no.kind else "float"
    return Node(kind, lambda values: then(values) if test(values) else otherwise(values), condition.at)


def call(name: str, arguments: Sequence[Node], at: int) -> Node:
    function = FUNCTIONS[name]
    if function.arguments is not None and len(arguments) != function.arguments:
        raise FormulaError(f"{name} takes one value, not {len(arguments)} (at character {at + 1})")
    _need(arguments, "number", name)
    kind: Kind = "float" if function.is_float or any(each.kind == "float" for each in arguments) else "int"
    apply, runs = function.call, tuple(each.run for each in arguments)
    if len(runs) == 1:
        (only,) = runs
        if function.arguments is None:
            return Node(kind, only, at)
        return Node(kind, lambda values: apply(only(values)), at)
    return Node(kind, lambda values: apply(*[run(values) for run in runs]), at)


def _need(nodes: Sequence[Node], wanted: Literal["bool", "number"], sign: str) -> None:
    for node in nodes:
        if (node.kind == "bool") != (wanted == "bool"):
            needs = "a truth value" if wanted == "bool" else "a number"
            has = "a number" if wanted == "bool" else "a truth value"
            raise FormulaError(f"{sign} needs {needs}, and what begins at character {node.at + 1} is {has}")
