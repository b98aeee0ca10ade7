"""Steps over time as an SVG picture of one size however long the range; it knows no replicas and no signals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autoscale.replay.recording import Span
from loadtest.report import units
from loadtest.report.markup import Markup, element

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 1100, 150, 64, 10, 24
_POINTS = 480
_TICKS = 6


class Line(NamedTuple):
    """One value per time, held until the next; None: a gap. `kind` is its class in the style sheet."""

    kind: str
    values: Sequence[float | None]


def chart(title: str, times: Sequence[float], lines: Sequence[Line], span: Span) -> Markup:
    """`times` in seconds since the range's beginning."""
    known = [value for line in lines for value in line.values if value is not None and math.isfinite(value)]
    most = max([*known, 0.0]) or 1.0
    paths = [element("path", d=_path(times, line.values, most, span), class_=line.kind) for line in lines]
    ground = element("path", d=f"M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH}", class_="axis")
    return element(
        "svg",
        *(ground, *_labels(most, span), *paths),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title}, most {units.digits(most)}",
    )


def _labels(most: float, span: Span) -> Iterator[Markup]:
    for value in (0.0, most):
        yield _text(units.digits(value), _LEFT - 8, _y(value, most) + 4, "end")
    for tick in range(_TICKS):
        seconds = (span.end - span.begin) * tick / _TICKS
        yield _text(span.at(seconds)[5:16].replace("T", " "), _x(seconds, span), _HEIGHT - 6, "start")


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_="tick")


def _path(times: Sequence[float], values: Sequence[float | None], most: float, span: Span) -> str:
    """Of each few values the highest: a peak is what hurts."""
    few = max(1, math.ceil(len(values) / _POINTS))
    drawn, is_open = [], False
    for first in range(0, len(values), few):
        there = [value for value in values[first : first + few] if value is not None and math.isfinite(value)]
        x = f"{_x(times[first], span):.1f}"
        if is_open:
            drawn.append(f"H{x}")
        if there:
            y = f"{_y(max(there), most):.1f}"
            drawn.append(f"V{y}" if is_open else f"M{x} {y}")
        is_open = bool(there)
    return "".join(drawn) + (f"H{_WIDTH}" if is_open else "")


def _x(seconds: float, span: Span) -> float:
    return _LEFT + (_WIDTH - _LEFT) * seconds / (span.end - span.begin)


def _y(value: float, most: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - min(value, most) / most)
