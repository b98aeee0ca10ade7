"""The options that commands with settings share, and the way from arguments to the tree; it knows no command."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from serving.settings import Settings

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and `--set` to a command."""
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings (default: $TIDEGATE_CONFIG)")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="any setting by its dotted key, e.g. front.port=8080; repeatable, see `tidegate settings`",
    )


def settings_from(args: argparse.Namespace, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a command: its own flags over `--set` over the environment over the file over the defaults.

    `overrides` maps dotted keys to the values of the command's own flags, None meaning not given.
    Raises `SettingsError` naming the key that is wrong.
    """
    from serving.settings_sources import load  # pydantic costs 0.1 s, which `--help` need not pay

    variables, entries = _assigned(args.assignments)
    return load({**entries, **(overrides or {})}, {**os.environ, **variables}, args.config)


def _assigned(assignments: Iterable[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Assignments in the form that `load` reads as text (variables), and single entries of mappings."""
    from serving.errors import SettingsError
    from serving.settings_sources import fields, variable

    known = {key for key, *_ in fields()}
    variables: dict[str, str] = {}
    entries: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(key, "--set wants KEY=VALUE")
        if key in known:
            variables[variable(key)] = text
        else:
            entries[key] = _entry_value(key, text, known)
    return variables, entries


def _entry_value(key: str, text: str, known: set[str]) -> Any:
    """The value of one entry of a mapping, e.g. `engine.vllm_flags.max-num-seqs`; `load` judges any other key."""
    import yaml

    from serving.errors import SettingsError

    if not any(key.startswith(f"{leaf}.") for leaf in known):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(key, f"{text!r} is not YAML") from None
