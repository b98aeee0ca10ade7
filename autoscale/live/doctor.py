"""Examines a ScaledObject where it runs: does each query give exactly one finite number, and do KEDA and the HPA act.

It reads and judges; it changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from autoscale.live.cluster import Scaled
from autoscale.live.moments import Moment, engines_query, moments
from autoscale.live.prometheus import Prometheus, PrometheusError


class Finding(NamedTuple):
    """One thing that was looked at. `text` says what to do where it is not `ok`."""

    ok: bool
    subject: str
    text: str


def examine(
    scaled: Scaled,
    prometheus: Callable[[str], Prometheus],
    now: float,
    past_seconds: float,
    counting: str | None = None,
) -> Iterator[Finding]:
    """`prometheus` gives a client for a trigger's `serverAddress`; `past_seconds` is how far back to look.

    `counting` is the query that counts engines; None: that of a trigger named `ready`.
    """
    if scaled.missing:
        yield Finding(False, scaled.name, f"there is no {scaled.missing}: correct scaleTargetRef, or delete it")
    yield from _keda(scaled)
    yield from _hpa(scaled)
    queries = {str(trigger.get("name", index)): trigger for index, trigger in enumerate(_triggers(scaled))}
    counted = counting or engines_query(
        {name: trigger["metadata"].get("query", "") for name, trigger in queries.items()}
    )
    for name, trigger in queries.items():
        subject = f"{scaled.name}: {name}"
        source = prometheus(trigger["metadata"].get("serverAddress", ""))
        try:
            looked_at = moments(source, counted, now, past_seconds)
            for moment in looked_at:
                yield _answer(subject, trigger["metadata"].get("query", ""), source, moment)
        except PrometheusError as error:
            yield Finding(False, subject, str(error))


def _triggers(scaled: Scaled) -> list[dict[str, Any]]:
    return [one for one in scaled.document["spec"].get("triggers", ()) if one.get("type") == "prometheus"]


def _keda(scaled: Scaled) -> Iterator[Finding]:
    ready = scaled.condition("Ready")
    if ready is None:
        yield Finding(False, scaled.name, "KEDA has not looked at it yet: is its operator running?")
    else:
        yield Finding(ready.status == "True", scaled.name, f"Ready is {ready.status}: {ready.message or ready.reason}")
    fallback = scaled.condition("Fallback")
    if fallback is not None and fallback.status == "True":
        yield Finding(False, scaled.name, f"KEDA has fallen back: a query fails. {fallback.message}".strip())
    paused = scaled.condition("Paused")
    if paused is not None and paused.status == "True":
        yield Finding(False, scaled.name, "it is paused by an annotation autoscaling.keda.sh/paused…")


def _hpa(scaled: Scaled) -> Iterator[Finding]:
    if scaled.hpa is None:
        yield Finding(False, scaled.name, "KEDA made no HorizontalPodAutoscaler: see the operator's log")
        return
    for condition in scaled.hpa.conditions:
        if condition.kind == "AbleToScale" or (condition.kind == "ScalingActive" and scaled.spec_replicas):
            ok = condition.status == "True"
            yield Finding(ok, scaled.hpa.name, f"{condition.kind} is {condition.status}: {condition.message}")


def _answer(subject: str, query: str, source: Prometheus, moment: Moment) -> Finding:
    answer = source.instant(query, moment.at)
    if not answer:
        return Finding(False, subject, f"no answer {moment}: a series is absent; KEDA falls back, or reads 0")
    if len(answer) > 1:
        labels = ", ".join(sorted({label for series in answer for label in series.labels} - {"__name__"}))
        return Finding(False, subject, f"{len(answer)} series {moment}, KEDA takes one: aggregate over {labels}")
    if not math.isfinite(value := answer[0].value):
        return Finding(False, subject, f"{value} {moment}: guard the division or quantile in PromQL")
    return Finding(True, subject, f"{value:.4g} {moment}")
