"""Whether a trigger's metricType fits what its query measures; a formula's triggers have no type of their own."""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.lint.documents import Scaled, Trigger
from autoscale.lint.finding import Context, Finding
from autoscale.lint.shapes import is_clamped, is_percentile, is_ratio, selectors
from serving.metrics import VllmSeries


def metric_types(scaled: Scaled, context: Context) -> Iterator[Finding]:
    for trigger in scaled.prometheus:
        where = f"{scaled.where} {trigger.path}"
        if "metricType" in trigger.metadata:
            text = "metricType stands in metadata, where KEDA does not look: move it up, beside type and metadata."
            yield Finding("metric-type-in-metadata", "error", where, text)
        if scaled.modifiers or trigger.node is None:
            continue
        yield from _shape(trigger, where)
        yield from _slo(trigger, where, context)


def _shape(trigger: Trigger, where: str) -> Iterator[Finding]:
    assert trigger.node is not None
    threshold = trigger.text("threshold") or "the threshold"
    if trigger.metric_type == "AverageValue" and is_ratio(trigger.node):
        text = (
            f"a ratio with metricType AverageValue (KEDA's default) asks for ratio / {threshold} replicas at any fleet "
            "size and so never for more than a few: set metricType: Value, or sum the ratio over the replicas."
        )
        yield Finding("ratio-average-value", "error", where, text)
    if trigger.metric_type == "AverageValue" and is_percentile(trigger.node):
        text = (
            f"a percentile with metricType AverageValue (KEDA's default) asks for latency / {threshold} replicas at "
            "any fleet size: set metricType: Value, and better scale on demand with the percentile as a guard."
        )
        yield Finding("percentile-average-value", "error", where, text)
    if trigger.metric_type == "Value" and is_percentile(trigger.node) and not is_clamped(trigger.node):
        text = (
            "at the knee a latency percentile is 10 to 90 times its SLO, and Value multiplies the fleet by that: "
            "clamp_max it at twice the threshold."
        )
        yield Finding("percentile-unclamped", "warning", where, text)


def _slo(trigger: Trigger, where: str, context: Context) -> Iterator[Finding]:
    assert trigger.node is not None
    threshold = trigger.number("threshold")
    names = [selector.metric for selector in selectors(trigger.node)]
    ttft = VllmSeries.TTFT.split(":")[1]
    for slo, marks in ((context.ttft_slo_seconds, (ttft,)), (context.tpot_slo_seconds, _TPOT)):
        about = any(mark in name for name in names for mark in marks)
        if slo is not None and threshold is not None and about and threshold >= slo:
            text = (
                f"the threshold {threshold:g} s is not below the SLO {slo:g} s: it fires once the SLO is lost; "
                f"start at about {0.55 * slo:.3g} s."
            )
            yield Finding("threshold-at-slo", "warning", where, text)


_TPOT = ("time_per_output_token", "inter_token_latency")
