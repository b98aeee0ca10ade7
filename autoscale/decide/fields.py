"""Typed access to a YAML mapping; a missing, unknown or ill-typed field is a `SpecError` that names it by its path."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from autoscale.decide.spec import SpecError

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class Fields:
    """One mapping of a document and where it is, e.g. `spec.triggers[0].metadata`."""

    def __init__(self, data: Any, path: str) -> None:
        if not isinstance(data, Mapping):
            raise SpecError(f"{path}: must be a mapping, not {data!r}")
        self._data, self.path = data, path

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def only(self, known: Collection[str]) -> Fields:
        """Itself, where it has no other keys."""
        if unknown := [key for key in self._data if key not in known]:
            raise SpecError(f"{self.path}.{unknown[0]}: no such field; known are {', '.join(sorted(known))}")
        return self

    def at(self, key: str) -> str:
        return f"{self.path}.{key}"

    def part(self, key: str) -> Fields:
        """A mapping; one that is missing is empty."""
        return Fields(self._data.get(key) or {}, self.at(key))

    def parts(self, key: str) -> list[Fields]:
        found = self._data.get(key) or []
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise SpecError(f"{self.at(key)}: must be a list")
        return [Fields(each, f"{self.at(key)}[{index}]") for index, each in enumerate(found)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self._data.get(key)
        if value is None or value == "":
            if default is None:
                raise SpecError(f"{self.at(key)}: is missing")
            return default
        if not isinstance(value, str):
            raise SpecError(f'{self.at(key)}: must be a string: write "{value}" in quotes')
        return value

    def quantity(self, key: str) -> str:
        """A quantity may stand without quotes."""
        value = self._data.get(key)
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else self.text(key)

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value not in known:
            raise SpecError(f"{self.at(key)}: {value!r} must be one of {', '.join(known)}")
        return value

    def whole(self, key: str, default: int | None, least: int = 0, most: int = 2**31 - 1) -> int:
        value = self._data.get(key, default)
        if value is None:
            raise SpecError(f"{self.at(key)}: is missing")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            bounds = f"at least {least}" if most == 2**31 - 1 else f"from {least} to {most}"
            raise SpecError(f"{self.at(key)}: {value!r} must be a whole number, {bounds}")
        return value

    def number(self, key: str, default: str | None = None, above: float | None = None) -> float:
        """Of a string, as KEDA's metadata and targets are."""
        text = self.text(key, default)
        try:
            value = float(text)
        except ValueError as error:
            raise SpecError(f"{self.at(key)}: {text!r} is not a number") from error
        if above is not None and not value > above:
            raise SpecError(f"{self.at(key)}: {text} must be above {above:g}")
        return value

    def truth(self, key: str, default: bool) -> bool:
        """Of a string, as KEDA's metadata are."""
        text = self.text(key, "true" if default else "false")
        if text not in (*_TRUE, *_FALSE):
            raise SpecError(f'{self.at(key)}: {text!r} must be "true" or "false"')
        return text in _TRUE

    def flag(self, key: str) -> bool:
        value = self._data.get(key, False)
        if not isinstance(value, bool):
            raise SpecError(f"{self.at(key)}: {value!r} must be true or false, without quotes")
        return value
