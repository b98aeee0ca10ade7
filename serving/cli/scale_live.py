"""`tidegate scale doctor` and `explain`: looks at ScaledObjects where they run; changes nothing."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

from serving.cli.extras import failed, installed
from serving.cli.options import Subparsers
from serving.cli.scale_comparison import positive

if TYPE_CHECKING:
    from autoscale.live.cluster import Scaled
    from autoscale.live.prometheus import Prometheus


def add(kinds: Subparsers) -> None:
    doctor = kinds.add_parser(
        "doctor",
        help="check every query and object of a running cluster's scaling",
        description="Asks each query of each ScaledObject now, and at moments of the past with no engine, one and the "
        "most: it must give exactly one finite number. Exit status 1 where something is wrong, 2 where the cluster "
        "cannot be read.",
    )
    doctor.add_argument("--hours", type=positive, default=6, metavar="H", help="how far back to look (default: 6)")
    doctor.add_argument(
        "--engines-query", metavar="PROMQL", help="counts the engines (default: that of the trigger named ready)"
    )
    doctor.set_defaults(run=run_doctor)
    explain = kinds.add_parser(
        "explain",
        help="why are there so many replicas right now, signal by signal",
        description="What KEDA and the HPA make of this moment's answers, signal by signal.",
    )
    explain.set_defaults(run=run_explain)
    for parser in (doctor, explain):
        parser.add_argument("name", nargs="?", help="one ScaledObject (default: all of the namespace)")
        parser.add_argument("-n", "--namespace", default="default", help="(default: default)")
        parser.add_argument("--context", help="of KUBECONFIG")
        parser.add_argument("--prometheus", metavar="URL", help="instead of the triggers' own address")
        parser.add_argument("--token", help="bearer token for Prometheus")


def run_doctor(args: argparse.Namespace) -> int:
    if not installed("scale", "kubernetes"):
        return 2
    from autoscale.live.doctor import examine

    wrong = 0
    for scaled in (found := _scaled(args)) or ():
        past_seconds = args.hours * 3600
        for finding in examine(scaled, partial(_prometheus, args), time.time(), past_seconds, args.engines_query):
            wrong += not finding.ok
            print(f"{'ok   ' if finding.ok else 'WRONG'} {finding.subject}: {finding.text}")
    if found is not None:
        print(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong" if wrong else "nothing is wrong")
    return 2 if found is None else int(wrong > 0)


def run_explain(args: argparse.Namespace) -> int:
    if not installed("scale", "kubernetes"):
        return 2
    from autoscale.decide.spec import SpecError
    from autoscale.live.explain import explained

    found = _scaled(args)
    for scaled in found or ():
        try:
            for line in explained(scaled, partial(_prometheus, args), time.time()):
                print(line)
        except SpecError as error:
            print(f"{scaled.name}: {error}")
    return 2 if found is None else 0


def _scaled(args: argparse.Namespace) -> list[Scaled] | None:
    """None, and a line on standard error, where the cluster cannot be read."""
    from autoscale.live.cluster import Cluster, ClusterError

    try:
        found = Cluster(args.namespace, args.context).scaled(args.name)
    except ClusterError as error:
        failed(error, 2)
        return None
    if not found:
        print(f"there is no ScaledObject in {args.namespace}")
    return found


def _prometheus(args: argparse.Namespace, address: str) -> Prometheus:
    from autoscale.live.prometheus import Prometheus

    return Prometheus(args.prometheus or address, args.token)
