"""`tidegate scale`: what scales and why; lists its kinds, each of which is known in its own module only."""

from __future__ import annotations

from serving.cli import scale_deletion_cost, scale_lint, scale_live, scale_profile, scale_replay, scale_simulate
from serving.cli.options import Subparsers


def add(subparsers: Subparsers) -> None:
    scale = subparsers.add_parser(
        "scale",
        help="check, explain and simulate how engines are scaled",
        description="The scaling law: its checks, its reasons in a running cluster, and its simulator.",
    )
    kinds = scale.add_subparsers(title="kinds", metavar="KIND", required=True)
    for kind in (scale_lint, scale_live, scale_profile, scale_simulate, scale_replay, scale_deletion_cost):
        kind.add(kinds)
