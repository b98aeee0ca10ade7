"""Reads enough of PromQL to see what a query can answer: calls, selectors, operators; it evaluates nothing.

Known limits: no `@`; a subquery's step and the values of labels are passed over; labels that a relabelling adds are
not known. What it cannot read is a `PromqlError`, and the rules about queries then keep silent but for one note.
"""

from __future__ import annotations

from autoscale.lint.promql_nodes import Binary, Call, Node, Number, Ranged, Selector, Text
from autoscale.lint.promql_tokens import PromqlError, Token, seconds, tokens

__all__ = ["AGGREGATIONS", "COMPARISONS", "PromqlError", "parse"]

_LEVELS = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
AGGREGATIONS = (
    *("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group", "count_values"),
    *("bottomk", "topk", "quantile", "limitk", "limit_ratio"),
)


def parse(query: str) -> Node:
    """Raises `PromqlError`."""
    reader = _Reader(query)
    node = reader.expression(1)
    if reader.token.kind:
        raise reader.unexpected()
    return node


class _Reader:
    def __init__(self, query: str) -> None:
        self._tokens = tokens(query)
        self._next = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def unexpected(self) -> PromqlError:
        found = repr(self.token.text) if self.token.kind else "the end"
        return PromqlError(f"{found} at character {self.token.at + 1}")

    def expression(self, least: int) -> Node:
        left = self._operand()
        while (level := _LEVELS.get(self.token.text, 0)) >= least:
            sign = self._take()
            is_bool, grouped = self._modifiers()
            right = self.expression(level if sign == "^" else level + 1)
            left = Binary(sign, left, right, is_bool, grouped)
        return left

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1].text

    def _accept(self, text: str) -> bool:
        if self.token.text != text or self.token.kind == "string":
            return False
        self._next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self.unexpected()

    def _modifiers(self) -> tuple[bool, bool]:
        is_bool = self._accept("bool")
        grouped = False
        while self.token.text in ("on", "ignoring", "group_left", "group_right"):
            self._next += 1
            grouped = True
            if self.token.text == "(":
                self._names()
        return is_bool, grouped

    def _operand(self) -> Node:
        if self.token.text in ("-", "+"):
            sign = self._take()
            return Binary(sign, Number(0.0), self.expression(6))
        node = self._primary()
        while True:
            if self.token.text == "[":
                node = self._range(node)
            elif self.token.text == "offset":
                self._next += 1
                self._accept("-")
                self._take()
            else:
                return node

    def _primary(self) -> Node:
        kind, text, _ = self.token
        if kind == "number":
            return Number(float(int(text, 16) if text.startswith("0x") else float(self._take().replace("_", ""))))
        if kind == "string":
            return Text(self._take()[1:-1])
        if text == "(":
            self._next += 1
            inner = self.expression(1)
            self._expect(")")
            return inner
        if text == "{":
            return Selector("", self._matchers())
        if kind != "name":
            raise self.unexpected()
        name = self._take()
        if self.token.text in ("(", "by", "without") and (self.token.text == "(" or name in AGGREGATIONS):
            return self._call(name)
        return Selector(name, self._matchers() if self.token.text == "{" else ())

    def _call(self, name: str) -> Node:
        grouping, labels = self._grouping()
        self._expect("(")
        arguments = []
        while self.token.text != ")":
            arguments.append(self.expression(1))
            if not self._accept(","):
                break
        self._expect(")")
        if not grouping and name in AGGREGATIONS:
            grouping, labels = self._grouping()
        return Call(name, tuple(arguments), grouping, labels)

    def _grouping(self) -> tuple[str, tuple[str, ...]]:
        if self.token.text not in ("by", "without"):
            return "", ()
        return self._take(), self._names()

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        names = []
        while self.token.kind in ("name", "string"):
            names.append(self._take())
            self._accept(",")
        self._expect(")")
        return tuple(names)

    def _matchers(self) -> tuple[str, ...]:
        self._expect("{")
        names = []
        while self.token.kind in ("name", "string"):
            names.append(self._take())
            if self.token.text in ("=", "!=", "=~", "!~"):
                self._next += 2
            self._accept(",")
        self._expect("}")
        return tuple(names)

    def _range(self, node: Node) -> Node:
        self._expect("[")
        length = seconds(self._take())
        is_subquery = self._accept(":")
        if is_subquery and self.token.kind == "duration":
            self._next += 1
        self._expect("]")
        if isinstance(node, Selector) and not is_subquery:
            return node._replace(range_seconds=length)
        return Ranged(node, length)
