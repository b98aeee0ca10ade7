"""What a PromQL query is made of."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Number(NamedTuple):
    value: float


class Text(NamedTuple):
    value: str


class Selector(NamedTuple):
    """`range_seconds` 0: an instant vector. `labels` are the names that it matches on."""

    metric: str
    labels: tuple[str, ...]
    range_seconds: float = 0.0


class Call(NamedTuple):
    """A function or an aggregation; `grouping` is by, without or "", over `labels`."""

    name: str
    arguments: tuple[Node, ...]
    grouping: str = ""
    labels: tuple[str, ...] = ()


class Binary(NamedTuple):
    sign: str
    left: Node
    right: Node
    is_bool: bool = False
    grouped: bool = False
    """on, ignoring, group_left or group_right stands at it."""


class Ranged(NamedTuple):
    """A subquery."""

    inner: Node
    range_seconds: float


Node: TypeAlias = Number | Text | Selector | Call | Binary | Ranged
