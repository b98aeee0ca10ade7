"""The object as a whole: bounds, names, waiting times, who else scales the workload, what is left when all is away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoscale.decide.read import NAME_LIMIT
from autoscale.decide.read_behavior import DEFAULT_DOWN
from autoscale.lint.documents import Obj, Scaled, part
from autoscale.lint.finding import Context, Finding
from autoscale.lint.shapes import is_engine_series, selectors

_SLOWEST_POLL_SECONDS = 60
_DOWN_WINDOW_SECONDS = 300


def bounds(scaled: Scaled, context: Context) -> Iterator[Finding]:
    where = scaled.where
    least, most = scaled.whole("minReplicaCount", 0), scaled.whole("maxReplicaCount", 100)
    if least > most:
        text = f"minReplicaCount {least} is above maxReplicaCount {most}: swap or correct them."
        yield Finding("min-above-max", "error", where, text)
    hpa = part(part(scaled.spec, "advanced"), "horizontalPodAutoscalerConfig")
    hpa_name = str(hpa.get("name") or f"keda-hpa-{scaled.name}")
    if len(hpa_name) > NAME_LIMIT:
        text = f"the HPA's name {hpa_name} has {len(hpa_name)} characters, {NAME_LIMIT} are allowed: shorten the name."
        yield Finding("name-too-long", "error", where, text)
    down = part(part(hpa, "behavior"), "scaleDown")
    window = down.get("stabilizationWindowSeconds", DEFAULT_DOWN.window_seconds or _DOWN_WINDOW_SECONDS)
    if context.start_seconds is not None and isinstance(window, int) and window < context.start_seconds:
        text = (
            f"scaleDown.stabilizationWindowSeconds {window} is shorter than a replica takes to start "
            f"({context.start_seconds:g} s): pods are removed while they load; raise it above that."
        )
        yield Finding("window-below-start", "warning", where, text)


def waiting_times(scaled: Scaled, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    poll, cooldown = scaled.whole("pollingInterval", 30), scaled.whole("cooldownPeriod", 300)
    from_zero = scaled.whole("minReplicaCount", 0) == 0
    if poll < 1 or (from_zero and poll > _SLOWEST_POLL_SECONDS):
        text = f"pollingInterval {poll}: from 0 a request waits that long before anything starts; use 5 to 30."
        yield Finding("polling-odd", "warning", scaled.where, text)
    if from_zero and cooldown < 2 * poll:
        text = (
            f"cooldownPeriod {cooldown} is shorter than two polls: a quiet one stops the last replica; use {10 * poll}."
        )
        yield Finding("cooldown-odd", "warning", scaled.where, text)


def from_zero(scaled: Scaled, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """From zero only series that live without engines can wake."""
    series = [each.metric for trigger in scaled.prometheus if trigger.node for each in selectors(trigger.node)]
    others = [trigger for trigger in scaled.triggers if trigger.kind not in ("prometheus", "cpu", "memory")]
    if scaled.whole("minReplicaCount", 0) == 0 and series and not others and all(map(is_engine_series, series)):
        text = (
            "at 0 replicas the engines' series are gone, so nothing ever wakes the workload: add a trigger on the "
            "front tier's queue or arrivals, or set minReplicaCount: 1."
        )
        yield Finding("zero-on-engine-series", "error", scaled.where, text)


def triggers(scaled: Scaled, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    for trigger in scaled.triggers:
        where = f"{scaled.where} {trigger.path}"
        for key, value in trigger.metadata.items():
            if not isinstance(value, str):
                yield Finding("not-a-string", "error", where, f'metadata.{key} must be a string: write "{value}".')
        if trigger.kind == "cpu":
            text = "an engine's CPU says nothing of its GPU's load: remove the trigger, scale on queue and tokens."
            yield Finding("cpu-trigger", "error", where, text)


def ownership(documents: Sequence[Obj], scaled: Sequence[Scaled]) -> Iterator[Finding]:
    """One owner of the replica count per workload: over all documents."""
    owners: dict[tuple[str, str, str], list[str]] = {}
    for each in scaled:
        owners.setdefault(each.target, []).append(each.name)
    for document in documents:
        metadata, spec = part(document, "metadata"), part(document, "spec")
        namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
        if document.get("kind") == "HorizontalPodAutoscaler":
            reference = part(spec, "scaleTargetRef")
            key = (namespace, str(reference.get("kind")), str(reference.get("name")))
            if key in owners:
                owners[key].append(f"HorizontalPodAutoscaler {name}")
        elif (namespace, str(document.get("kind")), name) in owners and "replicas" in spec:
            text = "the scaled workload has a replicas field, so every apply resets what was scaled: remove it."
            yield Finding("replicas-in-workload", "warning", f"{document.get('kind')} {name}", text)
    for (_, kind, name), found in owners.items():
        if len(found) > 1:
            text = f"{kind} {name} is scaled by {' and '.join(found)}; they fight: put the triggers into one."
            yield Finding("two-scalers", "error", f"ScaledObject {found[0]}", text)
