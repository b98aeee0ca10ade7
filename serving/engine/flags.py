"""Knows vLLM's server flags and the kinds of their values by reading its sources.

Importing vLLM's own parser takes 8 s of CPU and 0.5 GB; this takes a fraction of a second, so that a wrong flag stops
the start at once. It knows no more than names, numbers, booleans and fixed choices: the parser has the last word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from serving.errors import EngineStartError

_PARSERS = ("engine/arg_utils.py", "entrypoints/launchers/cli_args.py")
_FIELDS = ("config/*.py", "entrypoints/launchers/cli_args.py")
_FRONTEND = ("BaseFrontendArgs", "FrontendArgs")


@dataclass(frozen=True)
class Flag:
    """`kind` None: any value goes. `choices` is filled for a kind of "choice"."""

    name: str
    kind: Literal["int", "float", "bool", "choice"] | None = None
    choices: tuple[str, ...] = ()


def known_flags(vllm_folder: Path | None = None) -> Mapping[str, Flag]:
    """Every flag of the installed vLLM's server by its name with underscores."""
    folder = vllm_folder or _vllm_folder()
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _files(folder)}
    aliases = {name: values for tree in trees.values() for name, values in _aliases(tree)}
    kinds: dict[str, Flag] = {}
    for tree in trees.values():
        for name, annotation in _fields(tree):
            flag = _flag(name, annotation, aliases)
            # Two configurations that share a field name but not its type: leave it to vLLM's parser.
            kinds[name] = flag if kinds.get(name, flag) == flag else Flag(name)
    names = {name for part in _PARSERS for name in _flag_names(trees[folder / part])}
    return {name: kinds.get(name, Flag(name)) for name in names}


def _vllm_folder() -> Path:
    spec = find_spec("vllm")
    if spec is None or not spec.origin:
        raise EngineStartError("vLLM is not installed here: `make setup-cpu`, or pip install 'tidegate[gpu]'")
    return Path(spec.origin).parent


def _files(folder: Path) -> Iterable[Path]:
    return sorted({*(folder / part for part in _PARSERS), *(file for part in _FIELDS for file in folder.glob(part))})


def _flag_names(tree: ast.Module) -> Iterator[str]:
    """Names given to `add_argument`, and the fields that vLLM turns into flags one by one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith("--"):
                    yield str(argument.value).removeprefix("--").replace("-", "_")
        elif isinstance(node, ast.ClassDef) and node.name in _FRONTEND:
            yield from (name for name, _ in _own_fields(node))


def _fields(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _own_fields(node)


def _own_fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield line.target.id, line.annotation


def _aliases(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """`Name = Literal[...]` at the top of a module."""
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            values = _literal(line.value)
            if values:
                yield line.targets[0].id, values


def _literal(node: ast.expr) -> tuple[str, ...]:
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"):
        return ()
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not all(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts):
        return ()
    return tuple(str(part.value) for part in parts if isinstance(part, ast.Constant))


def _flag(name: str, annotation: ast.expr, aliases: Mapping[str, tuple[str, ...]]) -> Flag:
    bare = _without_none(annotation)
    if isinstance(bare, ast.Name):
        match bare.id:
            case "int" | "float" | "bool" as kind:
                return Flag(name, kind)
            case alias if alias in aliases:
                return Flag(name, "choice", aliases[alias])
    choices = _literal(bare)
    return Flag(name, "choice", choices) if choices else Flag(name)


def _without_none(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        if isinstance(node.right, ast.Constant) and node.right.value is None:
            return node.left
        if isinstance(node.left, ast.Constant) and node.left.value is None:
            return node.right
    return node
