"""`tidegate settings`: prints the tree with values, defaults, variables and docs; it knows no single setting."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from serving.cli.options import Subparsers, add_settings_options, settings_from

if TYPE_CHECKING:
    from serving.settings import Settings

# Values that a terminal, a log or a pasted bug report must not show.
_SECRET_ENDINGS = ("_key", "_keys", "_secret", "_token")
_PASSWORD = re.compile(r"(?<=://)([^/@?#]*):[^/@?#]*@")


@dataclass(frozen=True)
class Row:
    """One setting as it is shown."""

    key: str
    value: Any
    default: Any
    variable: str
    description: str


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "settings",
        help="print every setting: value, default, variable, one line of documentation",
        description="Print every setting with its current value, default, environment variable and one line of docs.",
    )
    add_settings_options(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--markdown", action="store_true", help="print the reference page, docs/settings.md")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.markdown:
        print(markdown(), end="")
        return 0
    rows = list(_rows(settings_from(args)))
    print(json.dumps([asdict(row) for row in rows], indent=2, default=_plain) if args.json else _text(rows))
    return 0


def markdown() -> str:
    """The reference page: the same on every machine, so without current values."""
    from serving.settings import Settings

    lines = [_PAGE_HEAD]
    branch = ""
    for row in _rows(Settings()):
        here, _, leaf = row.key.rpartition(".")
        if here != branch:
            branch = here
            lines += [
                "",
                f"## {branch}",
                "",
                _branch_doc(branch),
                "",
                "| key | default | what it is |",
                "|---|---|---|",
            ]
        lines.append(f"| `{leaf}` | {_cell(row.default)} | {row.description} |")
    return "\n".join(lines) + "\n"


_PAGE_HEAD = """# Settings

<!-- Written by `make docs` from serving/settings.py; tests/unit/test_docs.py holds it current. -->

A value comes from the command's own flags, else `--set KEY=VALUE`, else the environment, else the YAML file that
`--config` or `TIDEGATE_CONFIG` names, else the default below. The variable of `front.limits.body_bytes` is
`TIDEGATE_FRONT__LIMITS__BODY_BYTES`: the prefix, the key in capitals, two underscores for each dot. Lists are written
`a,b` or as YAML, mappings as YAML. A variable that starts with `TIDEGATE_` and names no setting stops the start, and
so does a wrong value; both name the key. `tidegate settings` prints the tree with the values in force."""


def _rows(settings: Settings) -> Iterator[Row]:
    from serving.settings_sources import fields, variable

    for key, _, default, description in fields():
        value: Any = settings
        for name in key.split("."):
            value = getattr(value, name)
        if key.endswith(_SECRET_ENDINGS) and value:
            value = "(set, not shown)"
        elif isinstance(value, str):
            value = _PASSWORD.sub(r"\1:***@", value)
        yield Row(key, value, default, variable(key), description)


def _text(rows: Iterable[Row]) -> str:
    blocks = []
    for row in rows:
        origin = "" if row.value == row.default else f"   (default {_shown(row.default)})"
        blocks.append(f"{row.key} = {_shown(row.value)}{origin}\n    {row.description}\n    {row.variable}")
    return "\n".join(blocks)


def _plain(part: Any) -> Any:
    return part.model_dump(exclude_none=True)


def _shown(value: Any) -> str:
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value, default=_plain)


def _cell(default: Any) -> str:
    return "unset" if default is None else f"`{_shown(default)}`"


def _branch_doc(branch: str) -> str:
    from serving.settings import Settings

    part: Any = Settings()
    for name in branch.split("."):
        part = getattr(part, name)
    return (type(part).__doc__ or "").strip()
