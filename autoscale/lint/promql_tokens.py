"""The words of PromQL."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    |(?P<number>0x[0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|[Ii]nf\b|[Nn]a[Nn]\b)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    |(?P<name>[A-Za-z_][\w:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){}\[\],:@])
    )""",
    re.VERBOSE,
)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


class PromqlError(ValueError):
    """A query that is wrong, or written in a way that is not understood here."""


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def tokens(query: str) -> list[Token]:
    found, position, end = [], 0, len(query.rstrip())
    while position < end:
        match = _TOKEN.match(query, position)
        if match is None or match.lastgroup is None:
            raise PromqlError(f"{query[position : position + 12].strip()!r} at character {position + 1}")
        found.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return [*found, Token("", "", len(query))]


def seconds(duration: str) -> float:
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
