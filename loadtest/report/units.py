"""How figures are written for people: three digits and a unit; an absent figure is a dash."""

from __future__ import annotations

import math

from loadtest.results import Interval

ABSENT = "\N{EN DASH}"


def seconds(value: float | None) -> str:
    """412 ms, 1.24 s, 3.1 min."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) < 1:
        return f"{digits(value * 1000)} ms"
    return f"{digits(value)} s" if abs(value) < 120 else f"{digits(value / 60)} min"


def rate(value: float | None) -> str:
    """4.21 req/s."""
    return ABSENT if value is None or not math.isfinite(value) else f"{digits(value)} req/s"


def share(value: float | None) -> str:
    """95.2 %; never 100 % for what is a little less."""
    if value is None or not math.isfinite(value):
        return ABSENT
    percent = round(value * 100, 9)
    if 99.9 < percent < 100:
        return f"{math.floor(percent * 100) / 100:g} %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def quantile(value: float) -> str:
    """95 %, of an SLO's quantile."""
    return f"{value * 100:.10g} %"


def ratio(value: float | None) -> str:
    """1.012x."""
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.3f}\N{MULTIPLICATION SIGN}"


def count(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}"


def several(number: int, what: str) -> str:
    """1 probe, 12 probes."""
    return f"{count(number)} {what}{'s' * (number != 1)}"


def digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    if not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(interval: Interval) -> str:
    """3.9 to 4.5, the ends of an interval; one without an upper end is a lower bound."""
    if not math.isfinite(interval.high):
        return f"{digits(interval.low)} or more"
    return f"{digits(interval.low)} to {digits(interval.high)}"


def share_span(interval: Interval) -> str:
    """94.1 to 96.3 %, the ends of a share's interval."""
    if not math.isfinite(interval.low):
        return ABSENT
    return f"{share(interval.low).removesuffix(' %')} to {share(interval.high)}"
