"""The formula and the fallback, together: what KEDA refuses, and what it accepts and then does not do."""

from __future__ import annotations

from collections.abc import Iterator

from autoscale.decide.formula import FormulaError, compile_formula
from autoscale.lint.documents import Scaled, part
from autoscale.lint.finding import Context, Finding


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
            compile_formula(str(modifiers.get("formula", "")), {trigger.name for trigger in scaled.triggers})
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
