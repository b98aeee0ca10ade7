"""The formula and the fallback, together: what KEDA refuses, and what it accepts and then does not do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, product

from autoscale.decide.formula import Formula, FormulaError, compile_formula
from autoscale.lint.documents import Scaled, part
from autoscale.lint.finding import Context, Finding

_TRIED = (0.0, 0.5, 20.0)
_MOST_TRIES = 20_000


def formula(scaled: Scaled, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    modifiers = scaled.modifiers
    if not modifiers:
        return
    where = f"{scaled.where} spec.advanced.scalingModifiers"
    unnamed = [trigger.path for trigger in scaled.triggers if not trigger.name]
    for path in unnamed:
        text = "the trigger has no name, and a formula reads triggers by name: give it one, letters and _ only."
        yield Finding("trigger-unnamed", "error", f"{scaled.where} {path}", text)
    try:
        if not unnamed:
            compiled = compile_formula(str(modifiers.get("formula", "")), {trigger.name for trigger in scaled.triggers})
            yield from _results(compiled, where)
    except FormulaError as error:
        yield Finding("formula-wrong", "error", where, f"the formula does not compile: {error}.")
    target = str(modifiers.get("target", ""))
    if part(scaled.spec, "fallback") and not (target.isdecimal() and int(target) > 0):
        text = (
            f"with a fallback the target has to be a whole number, or KEDA silently has no fallback: {target!r} -> "
            'scale the formula so that target: "1" fits.'
        )
        yield Finding("fallback-needs-whole-target", "error", where, text)


def fallback(scaled: Scaled, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    if scaled.prometheus and not part(scaled.spec, "fallback"):
        text = (
            "there is no fallback: while Prometheus is away nothing scales up; add fallback: {failureThreshold: 3, "
            "replicas: …, behavior: currentReplicasIfHigher}."
        )
        yield Finding("no-fallback", "warning", scaled.where, text)


def _results(compiled: Formula, where: str) -> Iterator[Finding]:
    """Tried with nothing, little and much for each trigger."""
    names = sorted(compiled.names)
    for values in islice(product(_TRIED, repeat=len(names)), _MOST_TRIES):
        given = dict(zip(names, values, strict=True))
        result = compiled.evaluate(given)
        if result is not None and (result < 0 or not math.isfinite(result)):
            told = ", ".join(f"{name} = {value:g}" for name, value in given.items())
            text = (
                f"with {told} the result is {result:g}; KEDA hands it over as a negative number, and the HPA "
                "(AverageValue, from Kubernetes 1.34 on) takes that for an overflow and goes to maxReplicaCount: "
                "guard divisions, and write max(0, …)."
            )
            yield Finding("composite-negative", "error", where, text)
            return
