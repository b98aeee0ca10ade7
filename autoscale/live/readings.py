"""What a ScaledObject's queries answer right now, as its decisions take them; it decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from autoscale.decide.reading import ERROR, Answer, answer
from autoscale.decide.spec import ScaledObject
from autoscale.live.cluster import Document
from autoscale.live.prometheus import Prometheus, PrometheusError

Source = Callable[[str], Prometheus]
"""A client for a trigger's `serverAddress`."""


def readings(document: Document, spec: ScaledObject, source: Source) -> tuple[dict[str, Answer], list[str]]:
    """By the triggers' keys, and a sentence for each that could not be asked. `spec` is the document's."""
    found: dict[str, Answer] = {}
    trouble = []
    for trigger in spec.triggers:
        address = document["spec"]["triggers"][trigger.index]["metadata"].get("serverAddress", "")
        try:
            found[trigger.key] = answer([series.value for series in source(address).instant(trigger.query)])
        except PrometheusError as error:
            found[trigger.key] = ERROR
            trouble.append(f"{trigger.key}: {error}")
    return found, trouble
