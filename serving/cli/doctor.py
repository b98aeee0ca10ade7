"""`tidegate doctor`: prints what is missing or wrong on this machine and the fix; the checks are in `checks`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from serving.cli.options import Subparsers, add_settings_options, settings_from
from serving.errors import SettingsError

if TYPE_CHECKING:
    from serving.cli.checks import Finding

_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="say what is missing or wrong on this machine, with the fix",
        description="Look at this machine; exit status 1 when something is wrong.",
    )
    add_settings_options(parser)
    parser.add_argument("--json", action="store_true", help='print {"ok": …, "checks": [{name, state, found, fix}]}')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    findings = list(_findings(args))
    healthy = all(finding.state != "wrong" for finding in findings)
    if args.json:
        print(json.dumps({"ok": healthy, "checks": [asdict(finding) for finding in findings]}))
    else:
        print(_text(findings))
        print("\nNothing is wrong." if healthy else "\nSomething is wrong: see the fixes above.")
    return 0 if healthy else 1


def _findings(args: argparse.Namespace) -> Iterable[Finding]:
    from serving.cli.checks import Finding, examine
    from serving.settings import Settings

    try:
        settings = settings_from(args)
        yield Finding("settings", "ok", "valid")
    except SettingsError as error:
        yield Finding("settings", "wrong", str(error), f"correct {error.key}; `tidegate settings` explains it")
        settings = Settings()
    yield from examine(settings, os.environ)


def _text(findings: Iterable[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{_SIGNS[finding.state]}  {finding.name:<16}  {finding.found}")
        if finding.fix:
            lines.append(f"{'':25}{finding.fix}")
    return "\n".join(lines)
