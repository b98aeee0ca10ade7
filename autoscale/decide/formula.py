"""A scalingModifiers formula, compiled as expr-lang would and evaluated on numbers; it knows no trigger but by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from autoscale.decide.formula_nodes import FormulaError, Node
from autoscale.decide.formula_parser import Parser

__all__ = ["Formula", "FormulaError", "compile_formula"]


@dataclass(frozen=True, slots=True)
class Formula:
    """A compiled formula. `names` are the triggers that it reads."""

    text: str
    names: frozenset[str]
    _root: Node = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, float | None]) -> float | None:
        """NaN and infinity pass through, as in expr-lang; None where the result is nil. Raises `FormulaError`."""
        try:
            result = self._root.run(values)
            return None if result is None else float(result)
        except TypeError as error:
            raise FormulaError("a trigger without a value (nil) is calculated with; guard it with ??") from error
        except KeyError as error:
            raise FormulaError(f"the trigger {error.args[0]} has no value") from error


def compile_formula(text: str, names: Collection[str]) -> Formula:
    """Raises `FormulaError` with the position, for what expr-lang refuses and for what is not supported here."""
    parser = Parser(text, names)
    root = parser.whole()
    if root.kind == "bool":
        raise FormulaError("the result is a truth value, and KEDA needs a number: write CONDITION ? 1 : 0")
    return Formula(text, frozenset(parser.used), root)
