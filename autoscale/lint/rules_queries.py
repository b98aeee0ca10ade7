"""Whether a query can answer one finite number, by its form: series, NaN, empties, windows."""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.lint.documents import Scaled, Trigger
from autoscale.lint.finding import Context, Finding
from autoscale.lint.shapes import divides_by_rate, is_engine_series, is_single, may_be_nan, selectors, short_rates

_SCRAPES = 4


def queries(scaled: Scaled, context: Context) -> Iterator[Finding]:
    for trigger in scaled.prometheus:
        where = f"{scaled.where} {trigger.path}"
        yield from _presence(trigger, where)
        if trigger.node is not None:
            yield from _answer(trigger, where)
            for window in short_rates(trigger.node, _SCRAPES * context.scrape_seconds):
                text = (
                    f"a rate over {window:g} s with a scrape every {context.scrape_seconds:g} s misses samples: "
                    f"make the window at least {_SCRAPES * context.scrape_seconds:g} s."
                )
                yield Finding("rate-window-short", "warning", where, text)


def _presence(trigger: Trigger, where: str) -> Iterator[Finding]:
    if not trigger.query.strip():
        yield Finding(
            "query-missing", "error", where, "metadata.query is missing, and KEDA needs it: write the PromQL."
        )
    if "metricName" in trigger.metadata:
        text = "metadata.metricName is retired and KEDA does not read it: remove it, and write the whole query."
        yield Finding("metric-name-retired", "warning", where, text)
    if trigger.number("threshold") is None:
        text = 'metadata.threshold is missing or no number: give one in quotes, e.g. "1".'
        yield Finding("threshold-missing", "error", where, text)
    if trigger.complaint:
        text = f"the query was not understood at {trigger.complaint}; check it with promtool, its rules were skipped."
        yield Finding("query-unread", "note", where, text)


def _answer(trigger: Trigger, where: str) -> Iterator[Finding]:
    assert trigger.node is not None
    if not is_single(trigger.node):
        text = (
            "several series can match, and KEDA takes one only (the trigger then fails): "
            "aggregate them, e.g. sum(…) without by."
        )
        yield Finding("several-series", "error", where, text)
    ignores = trigger.text("ignoreNullValues").lower() not in ("false", "f", "0")
    then = "which KEDA reads as 0, so the fleet shrinks" if ignores else "which is an error at KEDA"
    if divides_by_rate(trigger.node):
        text = f"a rate near 0 as divisor gives a spike, and NaN at 0, {then}: clamp_min it, or filter with > a floor."
        yield Finding("division-by-rate", "warning", where, text)
    elif may_be_nan(trigger.node):
        text = f"without traffic the answer is NaN, {then}: write (… > 0) or vector(0) where no traffic is legitimate."
        yield Finding("nan-possible", "warning", where, text)
    if ignores and any(is_engine_series(selector.metric) for selector in selectors(trigger.node)):
        text = (
            "ignoreNullValues is true by default: while Prometheus or the engines' series are away the answer is 0 "
            'and the fleet shrinks; set ignoreNullValues: "false" and a fallback.'
        )
        yield Finding("null-is-zero", "warning", where, text)
