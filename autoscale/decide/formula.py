"""A scalingModifiers formula, compiled as expr-lang would and evaluated on numbers; it knows no trigger but by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


class FormulaError(ValueError):
    """A formula that cannot be compiled or has no number as its result; the text says where."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A compiled formula."""

    text: str

    def evaluate(self, values: Mapping[str, float | None]) -> float | None:
        """NaN and infinity pass through, as in expr-lang; None where the result is nil. Raises `FormulaError`."""
        raise NotImplementedError


def compile_formula(text: str, names: Collection[str]) -> Formula:
    """Raises `FormulaError` with the position, for what expr-lang refuses and for what is not supported here."""
    raise NotImplementedError
