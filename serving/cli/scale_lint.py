"""`tidegate scale lint`: ScaledObjects of files, of standard input or of a cluster become findings, one a line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serving.cli.extras import failed, installed
from serving.cli.options import Subparsers

if TYPE_CHECKING:
    from autoscale.lint.documents import Obj
    from autoscale.lint.finding import Context, Finding

_TIMEOUT_SECONDS = 10.0
_RENDER = "a chart's templates are to be rendered first: helm template CHART | tidegate scale lint -"


class Place(NamedTuple):
    """A file or a cluster, and what is in it."""

    name: str
    documents: Sequence[Obj]


class Unreadable(Exception):
    """Something to be linted or to be compared with cannot be read; the text names it."""


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "lint",
        help="find what is wrong with any ScaledObject before it runs",
        description="Checks ScaledObjects against what KEDA and the HPA make of them. Exit status 1 where there is an "
        "error, 2 where something cannot be read.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="YAML, a folder of it, or - for standard input")
    parser.add_argument("--cluster", action="store_true", help="those of a namespace instead, by KUBECONFIG")
    parser.add_argument("-n", "--namespace", default="default", help="with --cluster (default: default)")
    parser.add_argument("--context", help="of KUBECONFIG, with --cluster")
    parser.add_argument(
        "--exposition",
        action="append",
        default=[],
        metavar="FILE|URL",
        help="a live /metrics, repeatable: names and labels that it lacks are errors",
    )
    parser.add_argument("--slo-ttft", type=float, metavar="SECONDS", help="thresholds at or above it come too late")
    parser.add_argument("--slo-tpot", type=float, metavar="SECONDS", help="likewise")
    parser.add_argument("--scrape", type=float, default=15, metavar="SECONDS", help="scrape interval (default: 15)")
    parser.add_argument("--start-seconds", type=float, metavar="SECONDS", help="until a new pod is ready")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.cluster == bool(args.files):
        return failed("lint wants either files (- for standard input) or --cluster", 2)
    if args.cluster and not installed("scale", "kubernetes"):
        return 2
    try:
        places = [_cluster(args)] if args.cluster else list(_files(args.files))
        found = list(_found(places, _context(args)))
    except Unreadable as error:
        return failed(error, 2)
    if args.format == "json":
        print(json.dumps([{"file": place, **finding._asdict()} for place, finding in found], indent=2))
    else:
        _print(found, places)
    return int(any(finding.severity == "error" for _, finding in found))


def _found(places: Sequence[Place], context: Context) -> Iterator[tuple[str, Finding]]:
    """What is wrong with each by itself, then what they do to each other."""
    from autoscale.lint.check import lint

    alone = [(place.name, finding) for place in places for finding in lint(place.documents, context)]
    yield from alone
    known = {finding for _, finding in alone}
    everything = [document for place in places for document in place.documents]
    for finding in lint(everything, context) if len(places) > 1 else ():
        if finding not in known:
            yield _home(finding, places), finding


def _home(finding: Finding, places: Sequence[Place]) -> str:
    """The first place with the object that a finding about several is laid to."""
    kind, _, name = finding.where.partition(" ")
    for place in places:
        for document in place.documents:
            if document.get("kind") == kind and (document.get("metadata") or {}).get("name") == name:
                return place.name
    return places[0].name


def _print(found: Sequence[tuple[str, Finding]], places: Sequence[Place]) -> None:
    for place, finding in found:
        where = finding.where.removeprefix("ScaledObject ")
        print(f"{place}:{where}: {finding.severity} {finding.rule}: {finding.text}")
    looked = sum(document.get("kind") == "ScaledObject" for place in places for document in place.documents)
    errors = sum(finding.severity == "error" for _, finding in found)
    print(f"{looked} ScaledObject{'s' * (looked != 1)}, {len(found)} findings, {errors} errors", file=sys.stderr)


def _context(args: argparse.Namespace) -> Context:
    from autoscale.lint.finding import Context

    exposition = "\n".join(_exposition(source) for source in args.exposition) if args.exposition else None
    return Context(exposition, args.slo_ttft, args.slo_tpot, args.scrape, args.start_seconds)


def _exposition(source: str) -> str:
    import urllib.request

    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=_TIMEOUT_SECONDS) as answer:
                return str(answer.read().decode(errors="replace"))
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Unreadable(f"--exposition {source}: {error}") from None


def _files(names: Sequence[str]) -> Iterator[Place]:
    for name in names:
        if name == "-":
            yield _place("-", sys.stdin.read())
            continue
        path = Path(name)
        inside = sorted(each for end in ("*.yaml", "*.yml") for each in path.rglob(end))
        if path.is_dir() and not inside:
            raise Unreadable(f"{name}: no .yaml file in it")
        for each in inside if path.is_dir() else [path]:
            try:
                yield _place(str(each), each.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise Unreadable(f"{each}: {getattr(error, 'strerror', None) or error}") from None


def _place(name: str, text: str) -> Place:
    import yaml

    from autoscale.lint.documents import load

    try:
        return Place(name, load(text))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = name if line is None else f"{name}, line {line + 1}"
        raise Unreadable(f"{where}: is not YAML; {_RENDER}") from None


def _cluster(args: argparse.Namespace) -> Place:
    from autoscale.live.cluster import Cluster, ClusterError

    try:
        cluster = Cluster(args.namespace, args.context)
        return Place(args.namespace, [*cluster.documents(), *cluster.others()])
    except ClusterError as error:
        raise Unreadable(f"{error}; or give files") from None
