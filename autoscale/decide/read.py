"""A ScaledObject's YAML becomes values, strictly: an unknown or wrong field is an error that names it and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from autoscale.decide.decision import MetricType
from autoscale.decide.fields import Fields
from autoscale.decide.formula import FormulaError, compile_formula
from autoscale.decide.read_behavior import behavior
from autoscale.decide.spec import Fallback, FallbackBehavior, Modifiers, ScaledObject, SpecError, Trigger

NAME_LIMIT = 63
# KEDA hands over thousandths, and the API server refuses a target of 0.
_LEAST = 0.0005
_METRIC_TYPES = ("AverageValue", "Value")
_FALLBACKS = ("static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers")
_SPEC = (
    *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "idleReplicaCount"),
    *("minReplicaCount", "maxReplicaCount", "fallback", "advanced", "triggers"),
)
_TRIGGER = ("type", "name", "metadata", "metricType", "useCachedMetrics", "authenticationRef")
_METADATA = (
    *("serverAddress", "query", "threshold", "activationThreshold", "namespace", "queryParameters", "customHeaders"),
    *("ignoreNullValues", "unsafeSsl", "timeout", "authModes", "awsRegion", "identityOwner"),
)


def read(document: Mapping[str, Any]) -> ScaledObject:
    """Of one document, kind ScaledObject, Prometheus triggers only. Raises `SpecError`."""
    if document.get("kind") != "ScaledObject":
        raise SpecError(f"kind: {document.get('kind')!r} must be ScaledObject")
    metadata = Fields(document.get("metadata") or {}, "metadata")
    name = metadata.text("name")
    fields = Fields(document.get("spec") or {}, "spec").only(_SPEC)
    advanced = fields.part("advanced").only(
        ("restoreToOriginalReplicaCount", "horizontalPodAutoscalerConfig", "scalingModifiers")
    )
    hpa = advanced.part("horizontalPodAutoscalerConfig").only(("name", "behavior"))
    triggers = tuple(_trigger(index, each) for index, each in enumerate(fields.parts("triggers")))
    result = ScaledObject(
        name=name,
        workload=fields.part("scaleTargetRef").text("name"),
        namespace=metadata.text("namespace", "default"),
        triggers=triggers,
        min_replicas=fields.whole("minReplicaCount", 0) if "minReplicaCount" in fields else None,
        max_replicas=fields.whole("maxReplicaCount", 100, least=1),
        idle_replicas=fields.whole("idleReplicaCount", 0) if "idleReplicaCount" in fields else None,
        polling_seconds=float(fields.whole("pollingInterval", 30, least=1)),
        cooldown_seconds=float(fields.whole("cooldownPeriod", 300)),
        initial_cooldown_seconds=float(fields.whole("initialCooldownPeriod", 0)),
        modifiers=_modifiers(advanced.part("scalingModifiers"), triggers),
        fallback=_fallback(fields.part("fallback")) if "fallback" in fields else None,
        behavior=behavior(hpa.part("behavior")) if "behavior" in hpa else None,
    )
    _admit(result, hpa.text("name", f"keda-hpa-{name}"))
    return result


def _trigger(index: int, fields: Fields) -> Trigger:
    kind = fields.only(_TRIGGER).text("type")
    if kind != "prometheus":
        raise SpecError(f"{fields.at('type')}: {kind!r} cannot be decided here, only prometheus triggers can")
    metadata = fields.part("metadata").only(_METADATA)
    metadata.text("serverAddress")
    return Trigger(
        index=index,
        name=fields.text("name", ""),
        query=metadata.text("query"),
        metric_type=_metric_type(fields),
        threshold=metadata.number("threshold", above=_LEAST),
        activation_threshold=metadata.number("activationThreshold", "0"),
        ignores_null=metadata.truth("ignoreNullValues", True),
        uses_cache=fields.flag("useCachedMetrics"),
    )


def _metric_type(fields: Fields) -> MetricType:
    return cast(MetricType, fields.one_of("metricType", _METRIC_TYPES, "AverageValue"))


def _modifiers(fields: Fields, triggers: tuple[Trigger, ...]) -> Modifiers | None:
    fields.only(("formula", "target", "activationTarget", "metricType"))
    if "formula" not in fields and "target" not in fields:
        return None
    text, target = fields.text("formula"), fields.number("target", above=_LEAST)
    if unnamed := [trigger.index for trigger in triggers if not trigger.name]:
        raise SpecError(
            f"spec.triggers[{unnamed[0]}].name: is missing, and the formula needs the name of every trigger"
        )
    try:
        formula = compile_formula(text, {trigger.name for trigger in triggers})
    except FormulaError as error:
        raise SpecError(f"{fields.at('formula')}: {error}") from error
    activation = fields.number("activationTarget", "0")
    return Modifiers(formula, target, fields.text("target"), _metric_type(fields), activation)


def _fallback(fields: Fields) -> Fallback:
    fields.only(("failureThreshold", "replicas", "behavior"))
    kind = cast(FallbackBehavior, fields.one_of("behavior", _FALLBACKS, "static"))
    return Fallback(fields.whole("failureThreshold", None), fields.whole("replicas", None), kind)


def _admit(spec: ScaledObject, hpa_name: str) -> None:
    """What KEDA's webhook refuses, as far as it needs no other object."""
    least = spec.min_replicas or 0
    if least > spec.max_replicas:
        raise SpecError(f"spec.minReplicaCount: {least} is above maxReplicaCount {spec.max_replicas}")
    if spec.idle_replicas is not None and spec.idle_replicas >= least:
        raise SpecError(f"spec.idleReplicaCount: {spec.idle_replicas} must be below minReplicaCount {least}")
    if not spec.triggers:
        raise SpecError("spec.triggers: is empty, nothing would ever scale")
    names = [trigger.name for trigger in spec.triggers if trigger.name]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"spec.triggers: two are named {repeated[0]!r}; names must differ")
    if spec.fallback and spec.fallback.behavior == "scalingModifiers" and not spec.modifiers:
        raise SpecError("spec.fallback.behavior: scalingModifiers needs spec.advanced.scalingModifiers.formula")
    if len(hpa_name) > NAME_LIMIT:
        raise SpecError(f"metadata.name: the HPA {hpa_name!r} has more than {NAME_LIMIT} characters; shorten the name")
