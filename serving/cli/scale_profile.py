"""`tidegate scale profile`: an engine's address becomes its profile and the law's parameters."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from serving.cli.extras import installed
from serving.cli.options import Subparsers


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "profile",
        help="measure an idle vLLM and fit the step model that the law and the simulator go by",
        description="Measures a vLLM that nobody else uses, for a minute or two, and writes its profile as JSON. "
        "Prints the law's parameters for the chart's values.",
    )
    parser.add_argument("--url", required=True, help="the engine itself, not the front, e.g. http://127.0.0.1:30000")
    parser.add_argument("--key", help="bearer token, where the engine asks for one")
    parser.add_argument("--model", help="served name (default: the only one)")
    parser.add_argument("--max-num-seqs", type=int, default=256, metavar="N", help="the engine's flag (default: 256)")
    parser.add_argument(
        "--max-batched-tokens", type=int, default=8192, metavar="N", help="--max-num-batched-tokens (default: 8192)"
    )
    parser.add_argument("--hardware", default="", metavar="TEXT", help="a note kept in the profile, e.g. 'H100 SXM'")
    parser.add_argument(
        "--out", type=Path, default=Path("profile.json"), metavar="FILE", help="(default: profile.json)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not installed("scale", "aiohttp", "numpy", "numba"):
        return 2
    from autoscale.profile.client import ProfileError
    from autoscale.profile.run import Target, measure

    target = Target(args.url, args.key, args.model, args.max_num_seqs, args.max_batched_tokens, args.hardware)
    try:
        measured = asyncio.run(measure(target, lambda line: print(line, file=sys.stderr, flush=True)))
    except ProfileError as error:
        print(f"tidegate: error: {error}", file=sys.stderr)
        return 1
    measured.profile.save(args.out)
    for kind, off in measured.profile.residuals.items():
        print(f"{kind}: the fit is off by {off:.1%} in the mean")
    print(f"{args.out} holds the profile")
    return 0
