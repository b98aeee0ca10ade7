"""`tidegate bench`: a load test of any OpenAI-compatible server; it writes the plan and becomes locust."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from serving.cli.options import Subparsers

_KINDS = {
    "goodput": "search the highest rate at which the SLO holds",
    "curve": "attainment and goodput at several rates, by default up to twice the knee",
    "ab": "two servers under the same seeded schedule, interleaved",
    "replay": "a trace or a request log, at its own times",
}


def add(subparsers: Subparsers) -> None:
    bench = subparsers.add_parser(
        "bench",
        help="load-test any OpenAI-compatible server: goodput, not throughput",
        description="Open-loop load tests that judge every request by its SLO; loadtest/README.md has the measures.",
    )
    kinds = bench.add_subparsers(title="kinds", metavar="KIND", required=True)
    for kind, text in _KINDS.items():
        parser = kinds.add_parser(kind, help=text, description=f"{text[0].upper()}{text[1:]}.")
        _add_target(parser)
        _add_load(parser, kind)
        _add_outcome(parser)
        parser.set_defaults(run=run, kind=kind)


def run(args: argparse.Namespace) -> int:
    """Becomes locust; comes back only when the plan is wrong."""
    import loadtest
    from serving.cli.bench_plan import planned
    from serving.cli.ports import any_free

    if importlib.util.find_spec("locust") is None:
        print("tidegate: error: locust is not installed: pip install 'tidegate[loadtest]'", file=sys.stderr)
        return 2
    plan = planned(args, os.environ)
    locustfile = Path(loadtest.__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--skip-log-setup"]
    command += ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(args.web)] if args.web else ["--headless"]
    if args.processes > 1:
        command += ["--processes", str(args.processes), *_own_port(any_free())]
    sys.stdout.flush()
    os.execve(sys.executable, command, {**os.environ, "TIDEGATE_BENCH_PLAN": plan})


def _own_port(port: int) -> list[str]:
    """Locust's workers meet their master on this machine only, and not another run's."""
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(port), "--master-port", str(port)]


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="with /v1 where the server wants it (default: $OPENAI_BASE_URL, else a running `tidegate up`)",
    )
    parser.add_argument("--api-key", metavar="KEY", help="default: $OPENAI_API_KEY, else that of the running `up`")
    parser.add_argument("--model", help="default: the first model that the server lists")
    parser.add_argument("--admin-url", metavar="URL", help="a Tidegate front's admin port: its figures are compared")
    parser.add_argument(
        "--engine-url", metavar="URL", action="append", default=[], help="a vLLM engine's origin; repeatable"
    )


def _add_load(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument(
        "--preset",
        default="chat",
        help="traffic and SLO: chat (default), code, mixed, …",
    )
    parser.add_argument("--plan", type=Path, metavar="FILE", help="YAML or JSON of a plan; flags win over it")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="any field of the plan by its dotted name, e.g. search.max_probes=8 or workload.classes.0.ttft_seconds=1",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="of each probe (default: 30, of which 5 warm up)")
    parser.add_argument("--seed", type=int, help="default: 0")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="load generators on this machine")
    parser.add_argument("--web", type=int, metavar="PORT", help="locust's web UI on this port, with the goodput tab")
    if kind in ("curve", "ab", "replay"):
        parser.add_argument("--rates", metavar="R,R", help="requests per second, instead of those that a search finds")
    if kind == "ab":
        parser.add_argument("--against", metavar="URL", required=True, help="the second server")
        parser.add_argument("--against-api-key", metavar="KEY")
        parser.add_argument("--against-model", metavar="MODEL")
        parser.add_argument("--against-engine-url", metavar="URL", action="append", default=[])
    if kind == "replay":
        parser.add_argument("trace", type=Path, help="Azure CSV, Mooncake JSONL, or a front's request log")
        parser.add_argument("--speed", type=float, help="2 replays in half the time")


def _add_outcome(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="reports go here (default: goodput-report)")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument(
        "--min-goodput", type=float, metavar="R", help="exit with 1 below this many requests per second"
    )
    parser.add_argument("--min-attainment", type=float, metavar="A", help="exit with 1 below, e.g. 0.95")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier result.json to compare with")
