"""`tidegate key`: mints one API key and shows its entry for the keys file; it stores nothing."""

from __future__ import annotations

import argparse
import json

from serving.cli.options import Subparsers


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "key",
        help="mint an API key and its entry for the keys file",
        description="Mint an API key. The keys file holds only its SHA-256, so the key is shown this once.",
    )
    parser.add_argument("--team", default="default", help="team that the key belongs to (default: %(default)s)")
    parser.add_argument("--name", help="name of the key in logs and in the keys file (default: the team)")
    parser.add_argument("--json", action="store_true", help="print one JSON line: key, and the entry")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from serving.front.keys import fingerprint, mint

    key = mint()
    entry = {"name": args.name or args.team, "team": args.team, "sha256": fingerprint(key.encode())}
    if args.json:
        print(json.dumps({"key": key, "entry": entry}))
        return 0
    print(f"{key}\n\n# The key is shown this once. For the file that front.keys_file names:\nkeys:")
    for number, (name, text) in enumerate(entry.items()):
        print(f"{'    ' if number else '  - '}{name}: {json.dumps(text)}")
    print(
        "    # Optional: models: [name, ...], requests_per_minute: 60, tokens_per_minute: 100000, expires: 2030-01-31"
    )
    return 0
