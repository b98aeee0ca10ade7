"""`tidegate scale simulate`: laws side by side on a trace of load, as a table and an HTML report."""

from __future__ import annotations

import argparse
from pathlib import Path

from serving.cli.extras import failed, installed
from serving.cli.options import Subparsers
from serving.cli.scale_comparison import (
    add_options,
    laws_of,
    positive,
    profile_of,
    said,
    settings_of,
    side_by_side,
    writable,
)


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "simulate",
        help="run laws side by side on a trace: goodput, GPU-hours, and why",
        description="A discrete-event model of vLLM replicas with KEDA's and the HPA's own arithmetic in the loop. "
        "Writes an HTML report and prints the table. Figures rank laws; they promise no latency.",
    )
    parser.add_argument("--trace", default="bursty", help="bursty, diurnal, steady, ramp, shift (default: bursty)")
    parser.add_argument("--replicas", type=positive, default=5, metavar="N", help="mean load in replicas (default: 5)")
    parser.add_argument("--hours", type=positive, metavar="H", help="the trace in so many hours (default: its own)")
    add_options(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("scaling.html"), metavar="FILE", help="(default: scaling.html)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not installed("scale", "numpy", "numba"):
        return 2
    from autoscale.simulate import traffic
    from autoscale.simulate.run import engines, prepared

    if args.trace not in traffic.NAMES:
        return failed(f"--trace {args.trace}: must be one of {', '.join(traffic.NAMES)}", 2)
    try:
        writable(args.out, args.json)
        laws_of(args)
        profile, settings = profile_of(args), settings_of(args, args.replicas, args.hours)
        fleets = engines(profile, settings, args.seed)
        said(f"{args.trace}: looking for the knee of one replica; the first run compiles for half a minute")
        setting = prepared(args.trace, fleets, settings, args.seed)
        said(f"{len(setting.trace.requests.at_seconds)} requests in {setting.trace.seconds / 3600:g} h")
        side_by_side(args, profile, settings, fleets, setting)
    except (ValueError, OSError) as error:
        return failed(error, 2)
    return 0
