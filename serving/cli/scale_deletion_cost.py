"""`tidegate scale deletion-cost`: what lets the emptiest cell leave first, as a process that keeps looking."""

from __future__ import annotations

import argparse

from serving.cli.extras import installed
from serving.cli.options import Subparsers


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "deletion-cost",
        help="write each engine pod's deletion cost, so that the emptiest leaves first",
        description="Reads how many requests each engine pod has in hand and writes it to the annotation that "
        "Kubernetes goes by when a Deployment shrinks. Runs until it is stopped.",
    )
    parser.add_argument("-n", "--namespace", required=True, help="where the engine pods are")
    parser.add_argument("-l", "--selector", required=True, metavar="LABELS", help="which pods they are")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between two looks (default: 5)")
    parser.add_argument("--port", type=int, action="append", metavar="P", help="repeatable (default: 30000)")
    parser.add_argument("--once", action="store_true", help="one look, then end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not installed("scale", "kubernetes"):
        return 2
    from autoscale.deletion_cost import run_with

    return run_with(args)
