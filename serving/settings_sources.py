"""Where settings come from: the command line over `TIDEGATE_…` variables over one YAML file over the defaults.

`front.limits.body_bytes` is `TIDEGATE_FRONT__LIMITS__BODY_BYTES` in the environment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from serving.errors import SettingsError
from serving.settings import Settings

ENV_PREFIX = "TIDEGATE_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"
# Kubernetes puts these beside ours when a Service is called tidegate-something.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$")


def load(overrides: Mapping[str, Any], environ: Mapping[str, str], config_file: str | None = None) -> Settings:
    """Read and validate the tree.

    `overrides` maps dotted keys (`front.port`) to values from the command line, None meaning not given.
    `config_file` is the YAML file, else `TIDEGATE_CONFIG` names it. Raises `SettingsError` naming a wrong key.
    """
    path = config_file or environ.get(CONFIG_VARIABLE)
    tree = _read_yaml(path) if path else {}
    for key, value in _from_environment(environ):
        _put(tree, key, value)
    for key, value in overrides.items():
        if value is not None:
            _put(tree, key, value)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _first_problem(error) from None


def fields(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any, Any, str]]:
    """Every leaf of the tree: dotted key, annotation, default, one-line description."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{key}.")
        else:
            yield key, field.annotation, field.default, field.description or ""


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return ENV_PREFIX + key.upper().replace(".", "__")


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError("config", f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError("config", f"{path} is not a YAML file") from None
    if not isinstance(content, dict):
        raise SettingsError("config", f"{path} must hold a mapping with the keys engine and front")
    return content


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    known = {variable(key): (key, annotation) for key, annotation, _, _ in fields()}
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE:
            continue
        if name in known:
            key, annotation = known[name]
            yield key, _parse(key, annotation, text)
        elif not _SERVICE_LINK.search(name):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `tidegate settings` lists them all"
            raise SettingsError(name, f"no such setting{hint}")


def _parse(key: str, annotation: Any, text: str) -> Any:
    """Lists and mappings are written as YAML; a list also as `a,b`. Scalars stay text: pydantic reads them."""
    container = get_origin(annotation)
    if container not in (tuple, dict):
        return text
    if container is tuple and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(key, f"{variable(key)} must be YAML, such as {{name: value}}") from None


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *branches, leaf = key.split(".")
    for branch in branches:
        inner = tree.setdefault(branch, {})
        if not isinstance(inner, dict):
            raise SettingsError(branch, "must be a mapping")
        tree = inner
    tree[leaf] = value


def _first_problem(error: ValidationError) -> SettingsError:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, [known for known, *_ in fields()], n=1)
        return SettingsError(key, f"no such setting{f'; did you mean {near[0]}?' if near else ''}")
    given = problem.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float) and "key" not in key else ""
    return SettingsError(key, f"{problem['msg'].removeprefix('Value error, ')}{shown}")
