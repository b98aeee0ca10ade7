"""`tidegate scale simulate`: laws side by side on a trace of load, as a table and an HTML report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.extras import installed
from serving.cli.options import Subparsers

if TYPE_CHECKING:
    from autoscale.engine_profile import EngineProfile
    from autoscale.simulate.run import Settings
    from autoscale.simulate.run_result import Comparison

_LAWS = ("tidegate", "llm-d", "playbook-value", "playbook-default", "static-peak")


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "simulate",
        help="run laws side by side on a trace: goodput, GPU-hours, and why",
        description="A discrete-event model of vLLM replicas with KEDA's and the HPA's own arithmetic in the loop. "
        "Writes an HTML report and prints the table. Figures rank laws; they promise no latency.",
    )
    parser.add_argument("--trace", default="bursty", help="bursty, diurnal, steady, ramp, shift (default: bursty)")
    parser.add_argument("--law", action="append", metavar="NAME", help=f"repeatable (default: {', '.join(_LAWS)})")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="by `scale profile` (default: an assumed H100, 8B)"
    )
    parser.add_argument("--slo", default="chat", help="SLO class of the load test (default: chat)")
    parser.add_argument("--replicas", type=float, default=5, metavar="N", help="mean load in replicas (default: 5)")
    parser.add_argument("--cold-start", type=float, default=180, metavar="SECONDS", help="median (default: 180)")
    parser.add_argument("--capacity-factor", type=float, default=1, metavar="F", help="mis-state rates (default: 1)")
    parser.add_argument("--shed-wait", type=float, metavar="SECONDS", help="the front refuses what would wait longer")
    parser.add_argument("--hours", type=float, metavar="H", help="the trace in so many hours (default: its own)")
    parser.add_argument("--parameter", action="append", default=[], metavar="K=V", help="of keda/signals.yaml")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path("scaling.html"), metavar="FILE", help="(default: scaling.html)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same as data")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not installed("scale", "numpy", "numba"):
        return 2
    from autoscale import report
    from autoscale.simulate import run_result
    from autoscale.simulate.run import compare

    try:
        profile, settings = _profile(args), _settings(args)
        print(f"simulating {args.trace}: the first run compiles for half a minute", file=sys.stderr, flush=True)
        comparison = compare(args.trace, args.law or _LAWS, profile, settings, args.seed)
    except (ValueError, OSError) as error:
        print(f"tidegate: error: {error}", file=sys.stderr)
        return 2
    report.write(comparison, args.out)
    if args.json:
        run_result.write(args.json, comparison)
    _print(comparison)
    print(f"{args.out} draws it")
    return 0


def _profile(args: argparse.Namespace) -> EngineProfile:
    from autoscale.engine_profile import ASSUMED_H100_8B, EngineProfile

    return EngineProfile.load(args.profile) if args.profile else ASSUMED_H100_8B


def _settings(args: argparse.Namespace) -> Settings:
    from autoscale.simulate.run import Settings
    from autoscale.simulate.startup import ColdStart
    from autoscale.simulate.world import ClusterSettings
    from loadtest.slo import PRESETS

    if args.slo not in PRESETS:
        raise ValueError(f"--slo {args.slo}: must be one of {', '.join(PRESETS)}")
    return Settings(
        cluster=ClusterSettings(cold_start=ColdStart(args.cold_start)),
        slo=PRESETS[args.slo],
        mean_replicas=args.replicas,
        capacity_factor=args.capacity_factor,
        shed_wait_seconds=args.shed_wait,
        hours=args.hours,
        parameters=dict(_assigned(text) for text in args.parameter),
    )


def _assigned(text: str) -> tuple[str, str | float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--parameter {text}: wants NAME=VALUE")
    try:
        return name, float(value)
    except ValueError:
        return name, value


def _print(comparison: Comparison) -> None:
    print(f"{comparison.trace}: {comparison.about}")
    print(f"{'law':18} {'score':>6} {'good':>7} {'GPU-h':>8} {'x oracle':>9} {'flips':>6} {'most':>5}")
    for run in comparison.runs:
        score, totals = comparison.scores[run.law], run.totals
        print(
            f"{run.law:18} {score.score:6.2f} {totals.attainment:7.1%} {totals.gpu_hours:8.1f} "
            f"{score.gpu_ratio:9.2f} {totals.flips:6d} {totals.most_replicas:5d}"
        )
