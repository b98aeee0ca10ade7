"""Runs every rule over documents: the one door to the linter. Which file or cluster they are from is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from autoscale.decide.read import read
from autoscale.decide.spec import SpecError
from autoscale.lint.documents import Obj, Scaled, scaled_objects
from autoscale.lint.finding import Context, Finding, Severity
from autoscale.lint.rules_formula import fallback, formula
from autoscale.lint.rules_live import live
from autoscale.lint.rules_objects import bounds, from_zero, ownership, triggers, waiting_times
from autoscale.lint.rules_queries import queries
from autoscale.lint.rules_types import metric_types

Rule = Callable[[Scaled, Context], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    *(metric_types, queries, live, from_zero, triggers),
    *(formula, fallback, bounds, waiting_times),
)
_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


def lint(documents: Sequence[Obj], context: Context | None = None) -> list[Finding]:
    """Errors first. Documents of other kinds are looked at only for what they share with a ScaledObject."""
    given = context or Context()
    scaled = scaled_objects(documents)
    found = [finding for each in scaled for finding in _one(each, given)]
    found.extend(ownership(documents, scaled))
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def _one(scaled: Scaled, context: Context) -> list[Finding]:
    found = [finding for rule in RULES for finding in rule(scaled, context)]
    if any(finding.severity == "error" for finding in found) or len(scaled.prometheus) < len(scaled.triggers):
        return found
    try:
        read(scaled.document)
    except SpecError as error:
        found.append(Finding("refused", "error", scaled.where, f"KEDA or the HPA refuses it: {error}."))
    return found
