"""`tidegate model`: makes a model on this machine; it does not know how one is served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Register the command and its own subcommands."""
    parser = subparsers.add_parser("model", help="make a model on this machine")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    tiny = kinds.add_parser("tiny", help="a tiny random model: 10 s, no download, talks nonsense")
    tiny.add_argument("path", type=Path, metavar="PATH", help="folder to write; must be empty or not exist")
    tiny.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    tiny.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the model; a folder that holds it already is left as it is."""
    from serving.engine.tiny import make_tiny_model

    make_tiny_model(args.path.expanduser(), lambda line: print(f"tidegate: {line}", file=sys.stderr), args.dtype)
    return 0
