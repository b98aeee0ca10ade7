"""`tidegate scale replay`: the past once more, from Prometheus through a ScaledObject or from a log through laws."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from serving.cli.extras import failed, installed
from serving.cli.moments import moment
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
        "replay",
        help="what would a ScaledObject, or a law, have done with what was recorded",
        description="Two sources. With --from: every trigger's recorded answers go through KEDA's and the HPA's "
        "arithmetic, and what it would have asked for is laid beside what was there; nothing is simulated. With "
        "--request-log: the log's requests go through simulated engines, laws side by side, as `simulate` does.",
    )
    _add_range(parser)
    _add_log(parser)
    parser.add_argument("--out", type=Path, default=Path("replay.html"), metavar="FILE", help="(default: replay.html)")
    parser.set_defaults(run=run)


def _add_range(parser: argparse.ArgumentParser) -> None:
    recorded = parser.add_argument_group("a ScaledObject on a recorded range of Prometheus")
    now = time.time()
    when = partial(moment, now=now)
    recorded.add_argument(
        "--from", dest="begin_at", type=when, metavar="T", help="6h ago as 6h, or 2026-11-26T18:00:00Z"
    )
    recorded.add_argument("--to", type=when, default=now, metavar="T", help="(default: now)")
    recorded.add_argument("--step", type=positive, default=15, metavar="SECONDS", help="(default: 15)")
    recorded.add_argument("--prometheus", metavar="URL", help="instead of the triggers' own address")
    recorded.add_argument("--token", help="bearer token for Prometheus")
    recorded.add_argument("--file", type=Path, metavar="FILE", help="YAML with the ScaledObject")
    recorded.add_argument("name", nargs="?", help="which ScaledObject, of the file or of the cluster")
    recorded.add_argument("-n", "--namespace", default="default", help="of the cluster (default: default)")
    recorded.add_argument("--context", help="of KUBECONFIG")
    recorded.add_argument(
        "--count",
        choices=("own", "recorded"),
        default="own",
        help="decide upon the count that it would have reached itself, or upon the one that was there (default: own)",
    )
    recorded.add_argument("--start-seconds", type=positive, default=180, metavar="SECONDS", help="(default: 180)")
    recorded.add_argument("--begin", type=int, metavar="N", help="replicas at first (default: as recorded)")
    recorded.add_argument(
        "--replicas-query", metavar="PROMQL", help="counts the replicas (default: kube-state-metrics)"
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    log = parser.add_argument_group("laws on a request log")
    log.add_argument("--request-log", type=Path, metavar="FILE", help="a front's, Azure's CSV or Mooncake's JSON lines")
    log.add_argument("--times", type=int, default=1, metavar="N", help="the log so many times over (default: 1)")
    add_options(log)


def run(args: argparse.Namespace) -> int:
    if (args.request_log is None) == (args.begin_at is None):
        return failed("replay wants either --from (a range of Prometheus) or --request-log", 2)
    if not installed("scale", "numpy", "numba"):
        return 2
    if args.begin_at is not None:
        from serving.cli.scale_replay_range import run_range

        return run_range(args)
    return _log(args)


def _log(args: argparse.Namespace) -> int:
    from autoscale.replay import log
    from autoscale.simulate.run import engines

    if args.times < 1:
        return failed(f"--times {args.times}: must be at least 1", 2)
    try:
        writable(args.out, args.json)
        laws_of(args)
        profile, settings = profile_of(args), settings_of(args)
        trace = log.read(args.request_log, args.times, args.seed)
        said(f"{trace.name}: {trace.about}; looking for the knee of one replica")
        fleets = engines(profile, settings, args.seed)
        setting = log.setting(trace, fleets, settings, args.seed)
        said(f"it needs {max(trace.rates[log.RECORDED][1]) / setting.knees[log.RECORDED]:.2f} replicas at its peak")
        side_by_side(args, profile, settings, fleets, setting)
    except (ValueError, OSError) as error:
        return failed(error, 2)
    return 0
