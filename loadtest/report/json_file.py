"""result.json: the tree of a Result, and back. NaN is null there; what may be absent is null too."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Any

from loadtest.results import Result

VERSION = 1


class ResultFileError(ValueError):
    """A file that is no result of this version: names the file, the field and the fix."""


def write(path: Path, result: Result) -> None:
    """The whole tree, indented: a result.json gets looked at and diffed."""
    path.write_text(dumps(result, indent=1) + "\n", encoding="utf-8")


def dumps(result: Result, indent: int | None = None) -> str:
    """The text of result.json."""
    return json.dumps(_plain(dataclasses.asdict(result)), indent=indent, allow_nan=False, ensure_ascii=False)


def read(path: Path) -> Result:
    """What `write` wrote; ResultFileError else."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultFileError(f"{path}: {error.strerror or error}; give the result.json of an earlier run") from None
    except ValueError as error:
        raise ResultFileError(f"{path} is no JSON ({error}); give the result.json of an earlier run") from None
    if not isinstance(tree, dict) or tree.get("version") != VERSION:
        found = tree.get("version") if isinstance(tree, dict) else None
        raise ResultFileError(f"{path}: version is {found!r}, this Tidegate reads {VERSION}; record it anew")
    try:
        result: Result = _built(Result, tree, "")
    except (TypeError, ValueError, AttributeError) as error:
        raise ResultFileError(f"{path}: {error}; record it anew") from None
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _built(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotation `kind` wants it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        real = next(entry for entry in inner if entry is not type(None))
        return None if value is None else _built(real, value, where)
    if origin is tuple:
        return _sequence(inner, _typed(list, value, where), where)
    if origin is dict:
        entries = _typed(dict, value, where).items()
        return {key: _built(inner[1], entry, f"{where}.{key}") for key, entry in entries}
    if kind is float:
        return math.nan if value is None else float(_typed((int, float), value, where))
    return value if kind is Any else _typed(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    hints, known = typing.get_type_hints(kind), _typed(dict, value, where)
    unknown = known.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{where or 'the result'} has a field {min(unknown)!r} that this version does not know")
    return kind(**{name: _built(hints[name], entry, f"{where}.{name}".lstrip(".")) for name, entry in known.items()})


def _sequence(inner: tuple[Any, ...], values: list[Any], where: str) -> tuple[Any, ...]:
    if inner[-1] is Ellipsis:
        return tuple(_built(inner[0], entry, f"{where}[{at}]") for at, entry in enumerate(values))
    return tuple(
        _built(kind, entry, f"{where}[{at}]") for at, (kind, entry) in enumerate(zip(inner, values, strict=True))
    )


def _typed(kind: Any, value: Any, where: str) -> Any:
    if isinstance(value, kind):
        return value
    wanted = getattr(kind, "__name__", "a number")
    raise ValueError(f"{where or 'the result'} is {type(value).__name__}, not {wanted}")
