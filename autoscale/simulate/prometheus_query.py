"""The PromQL that signals and triggers are written in, as a tree; it reads no series.

A subset: equality matchers, ranges and subqueries, the functions and aggregations that `prometheus_eval` knows. What
is beyond it is an error that says so, never another reading of the query.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

AGGREGATIONS = ("sum", "avg", "max", "min", "count")
COMPARISONS = ("==", "!=", ">=", "<=", ">", "<")
_LEVELS = (("or",), ("and", "unless"), COMPARISONS, ("+", "-"), ("*", "/"))
_TOKEN = re.compile(
    r"""\s*(?:(?P<duration>\d+(?:\.\d+)?(?:ms|[smhd]))(?![\w.]) | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<name>[A-Za-z_][\w:]*) | (?P<string>"(?:[^"\\]|\\.)*") | (?P<sign>==|!=|>=|<=|=~|!~|[-+*/><=(){}\[\],:]))""",
    re.VERBOSE,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class QueryError(ValueError):
    """A query that this subset cannot read; names the query and the place."""


class Number(NamedTuple):
    value: float


class Selector(NamedTuple):
    name: str
    matchers: tuple[tuple[str, str], ...]


class Over(NamedTuple):
    """A range: of a selector, or with `step_seconds` a subquery of any expression."""

    of: Expression
    seconds: float
    step_seconds: float | None


class Call(NamedTuple):
    function: str
    arguments: tuple[Expression, ...]


class Aggregate(NamedTuple):
    operation: str
    by: tuple[str, ...]
    of: Expression


class Binary(NamedTuple):
    sign: str
    left: Expression
    right: Expression
    as_bool: bool
    on_nothing: bool
    """`on ()`: any series matches any."""


Expression: TypeAlias = "Number | Selector | Over | Call | Aggregate | Binary"


def parse(query: str) -> Expression:
    """The tree of a query. Raises `QueryError`."""
    reader = _Reader(query)
    found = reader.binary(0)
    reader.end()
    return found


class _Reader:
    """Recursive descent over the tokens of one query."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens: list[tuple[str, str]] = []
        self._next = at = 0
        text = query.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise QueryError(f"query {query!r}: cannot read {text[at : at + 20]!r}")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind]))
            at = found.end()

    def binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self.binary(level + 1)
        while self._peek() in _LEVELS[level]:
            sign, as_bool, on_nothing = self._take(), self._skip("bool"), self._on_nothing()
            left = Binary(sign, left, self.binary(level + 1), as_bool, on_nothing)
        return left

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._unexpected("the end")

    def _on_nothing(self) -> bool:
        if not self._skip("on"):
            return False
        self._expect("(")
        self._expect(")")
        return True

    def _unary(self) -> Expression:
        if self._skip("-"):
            return Binary("-", Number(0.0), self._unary(), False, False)
        found = self._atom()
        while self._skip("["):
            seconds = self._duration()
            step = self._duration() if self._skip(":") else None
            self._expect("]")
            if step is None and not isinstance(found, Selector):
                raise QueryError(f"query {self._query!r}: a range of an expression needs a step, as in [5m:15s]")
            found = Over(found, seconds, step)
        return found

    def _atom(self) -> Expression:
        kind, text = self._tokens[self._next] if self._next < len(self._tokens) else ("", "")
        if self._skip("("):
            found = self.binary(0)
            self._expect(")")
            return found
        if kind == "number":
            return Number(float(self._take()))
        if kind != "name":
            raise self._unexpected("an expression")
        self._next += 1
        if text in AGGREGATIONS:
            return self._aggregate(text)
        return Call(text, self._arguments()) if self._peek() == "(" else Selector(text, self._matchers())

    def _aggregate(self, operation: str) -> Aggregate:
        by = self._labels() if self._skip("by") else ()
        arguments = self._arguments()
        if len(arguments) != 1:
            raise QueryError(f"query {self._query!r}: {operation} takes one argument")
        return Aggregate(operation, by, arguments[0])

    def _arguments(self) -> tuple[Expression, ...]:
        self._expect("(")
        found = [self.binary(0)]
        while self._skip(","):
            found.append(self.binary(0))
        self._expect(")")
        return tuple(found)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(")
        found = []
        while not self._skip(")"):
            found.append(self._take())
            self._skip(",")
        return tuple(found)

    def _matchers(self) -> tuple[tuple[str, str], ...]:
        found = []
        if self._skip("{"):
            while not self._skip("}"):
                label = self._take()
                self._expect("=")
                found.append((label, self._take()[1:-1]))
                self._skip(",")
        return tuple(found)

    def _duration(self) -> float:
        text = self._take()
        split = re.fullmatch(r"([\d.]+)(ms|[smhd])", text)
        if split is None:
            raise QueryError(f"query {self._query!r}: {text!r} is no duration such as 1m")
        return float(split[1]) * _UNITS[split[2]]

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        if self._next >= len(self._tokens):
            raise self._unexpected("more")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _skip(self, text: str) -> bool:
        taken = self._peek() == text
        self._next += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise self._unexpected(repr(text))

    def _unexpected(self, wanted: str) -> QueryError:
        return QueryError(f"query {self._query!r}: {self._peek() or 'its end'!r} where {wanted} belongs")
