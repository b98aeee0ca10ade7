"""The syntax of a formula: the tokens and precedences of expr-lang's operators; what they do is `formula_nodes`'."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from autoscale.decide.formula_nodes import FUNCTIONS, FormulaError, Node, binary, call, choose, unary

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<sign>\*\*|==|!=|<=|>=|&&|\|\||\?\?|[-+*/%^()<>?:,!]))"
)
_LEVELS = {
    **dict.fromkeys(("or", "||"), 10),
    **dict.fromkeys(("and", "&&"), 15),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 20),
    **dict.fromkeys(("+", "-"), 30),
    **dict.fromkeys(("*", "/", "%"), 60),
    **dict.fromkeys(("**", "^"), 100),
    "??": 500,
}
_RIGHT = ("**", "^")
_COMPARISONS = ("<", "<=", ">", ">=")
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_WORDS = ("and", "or", "not", "true", "false", "nil")


class Token(NamedTuple):
    """`kind` is number, name, sign or, at the end, ""."""

    kind: str
    text: str
    at: int


class Parser:
    """One formula. `used` are the names that it reads."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._tokens = list(_tokens(text))
        self._names = names
        self._next = 0
        self.used: set[str] = set()

    def whole(self) -> Node:
        node = self._expression(0)
        if self._token.kind:
            raise self._unexpected()
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._token.text != sign:
            raise self._unexpected(f"{sign} is missing before ")
        self._next += 1

    def _unexpected(self, what: str = "unexpected ") -> FormulaError:
        if not self._token.kind:
            return FormulaError(f"{what}the end of the formula")
        return FormulaError(f"{what}{self._token.text!r} at character {self._token.at + 1}")

    def _expression(self, least: int) -> Node:
        left = self._operand()
        before = ""
        while (level := self._level()) >= max(least, 1):
            sign = self._take()
            self._check_chain(before, sign)
            right = self._expression(level if sign.text in _RIGHT else level + 1)
            left = binary(sign.text, left, right, left.at)
            before = sign.text
        return left if least else self._conditional(left)

    def _level(self) -> int:
        return _LEVELS.get(self._token.text, 0)

    def _check_chain(self, before: str, sign: Token) -> None:
        if before == "??" != sign.text:
            raise FormulaError(f"put the ?? before {sign.text} (character {sign.at + 1}) in parentheses")
        if before in _COMPARISONS and sign.text in _COMPARISONS:
            raise FormulaError(
                f"a chain of comparisons at character {sign.at + 1} is not supported: join them with and"
            )

    def _conditional(self, condition: Node) -> Node:
        if self._token.text != "?":
            return condition
        self._next += 1
        yes = self._expression(0)
        self._expect(":")
        return choose(condition, yes, self._expression(0))

    def _operand(self) -> Node:
        token = self._take() if self._token.kind else None
        if token is None:
            raise self._unexpected()
        if token.text in _UNARY:
            return unary(token.text, self._expression(_UNARY[token.text]), token.at)
        if token.text == "(":
            inner = self._expression(0)
            self._expect(")")
            return inner._replace(at=token.at)
        if token.kind == "number":
            return _literal(token)
        if token.kind == "name" and (token.text not in _WORDS or token.text in ("true", "false")):
            return self._named(token)
        self._next -= 1
        raise self._unexpected()

    def _named(self, token: Token) -> Node:
        name, at = token.text, token.at
        if name in ("true", "false"):
            truth = name == "true"
            return Node("bool", lambda _: truth, at)
        if self._token.text == "(":
            return self._call(token)
        if name not in self._names:
            known = ", ".join(sorted(self._names)) or "none has a name"
            raise FormulaError(f"unknown name {name!r} at character {at + 1}; the triggers are: {known}")
        self.used.add(name)
        return Node("float", lambda values: values[name], at)

    def _call(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise FormulaError(f"{token.text}() at character {token.at + 1} is not known here; known are {known}")
        self._next += 1
        arguments = [self._expression(0)]
        while self._token.text == ",":
            self._next += 1
            arguments.append(self._expression(0))
        self._expect(")")
        return call(token.text, arguments, token.at)


def _literal(token: Token) -> Node:
    text = token.text.replace("_", "")
    value: float = int(text) if text.isdigit() else float(text)
    return Node("int" if isinstance(value, int) else "float", lambda _: value, token.at)


def _tokens(text: str) -> list[Token]:
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise FormulaError(f"cannot read {text[at : at + 12]!r} at character {at + 1}")
        kind = match.lastgroup or ""
        found.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*found, Token("", "", len(text))]
