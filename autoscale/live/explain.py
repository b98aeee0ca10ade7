"""Why there are so many replicas right now: what KEDA and the HPA make of this moment's answers, as sentences.

Windows and policies look back at what this process has not seen; what the HPA itself says of them is quoted.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.decide import explain as decided
from autoscale.decide.controller import Controller
from autoscale.decide.read import read
from autoscale.decide.reading import Workload
from autoscale.live.cluster import Scaled
from autoscale.live.readings import Source, readings


def explained(scaled: Scaled, source: Source, now: float) -> Iterator[str]:
    """Lines. Raises `SpecError` for a ScaledObject that cannot be decided here."""
    spec = read(scaled.document)
    replicas = f"{scaled.spec_replicas} wanted, {scaled.status_replicas} there, {scaled.ready_replicas} ready"
    most = f"of {spec.min_replicas or 0} to {spec.max_replicas}"
    yield f"{scaled.name} scales {spec.workload}: {replicas}, {most}"
    if scaled.missing:
        yield f"  there is no {scaled.missing}"
    found, trouble = readings(scaled.document, spec, source)
    workload = Workload(scaled.spec_replicas, scaled.status_replicas, scaled.ready_replicas)
    controller = Controller(spec, created=now)
    decision = controller.sync(now, found, workload) if workload.spec else controller.poll(now, found, workload)
    yield from decided.explain(decision, workload.spec)
    if decision.limit.endswith("Stabilized"):
        yield "  (as of an HPA that began now; what the cluster's own has seen before, it says itself)"
    if spec.modifiers is not None:
        yield f"  the law: {spec.modifiers.formula.text}"
    yield from (f"  {line}" for line in trouble)
    if scaled.hpa is not None:
        for condition in scaled.hpa.conditions:
            yield f"  the HPA: {condition.kind} {condition.status}, {condition.message}"
    for kind in ("Fallback", "Paused"):
        told = scaled.condition(kind)
        if told is not None and told.status == "True":
            yield f"  KEDA: {kind}, {told.message or told.reason}"
