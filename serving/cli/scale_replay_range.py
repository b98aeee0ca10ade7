"""`tidegate scale replay --from`: which ScaledObject, which range; prints and draws what it would have asked for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.cli.extras import failed, installed
from serving.cli.scale_comparison import writable

if TYPE_CHECKING:
    from autoscale.decide.spec import ScaledObject
    from autoscale.live.prometheus import Prometheus
    from autoscale.replay.page import Replayed

_SHOWN = 40


def run_range(args: argparse.Namespace) -> int:
    from autoscale.decide.spec import SpecError
    from autoscale.live.prometheus import PrometheusError
    from autoscale.replay import page

    if args.file is None and not installed("scale", "kubernetes"):
        return 2
    try:
        writable(args.out, args.json)
        document = _from_file(args.file, args.name) if args.file else _from_cluster(args)
        replayed = _replayed(args, document)
    except SpecError as error:
        return failed(f"{args.file or args.name}: {error}", 2)
    except (ValueError, OSError) as error:
        return failed(error, 2)
    except PrometheusError as error:
        elsewhere = "" if args.prometheus else "; give --prometheus where that address cannot be reached from here"
        return failed(f"{error}{elsewhere}", 2)
    page.write(replayed, args.out)
    if args.json:
        _write(args.json, replayed)
    _print(replayed)
    print(f"{args.out} draws it")
    return 0


def _replayed(args: argparse.Namespace, document: Mapping[str, Any]) -> Replayed:
    from autoscale.decide.read import read
    from autoscale.replay import what_if
    from autoscale.replay.facts import facts
    from autoscale.replay.page import Replayed
    from autoscale.replay.recording import Span, fetch, gaps

    if args.begin is not None and args.begin < 0:
        raise ValueError(f"--begin {args.begin}: must be at least 0")
    spec = read(document)
    span = Span(args.begin_at, args.to, args.step)
    recording = fetch(document, spec, lambda address: _prometheus(args, address), span, _counting(args, spec))
    is_own = args.count == "own"
    begin = args.begin if is_own and args.begin is not None else recording.counts()[0]
    own = what_if.Own([-args.start_seconds] * begin, args.start_seconds)
    replicas = own if is_own else what_if.Recorded(recording, recording.counts())
    steps = what_if.replay(document, recording, replicas)
    changes = list(what_if.changes(begin, steps))
    said = list(facts(steps, begin, span.end - span.begin, is_own))
    return Replayed(spec.name, span, steps, changes, said, list(gaps(recording, spec)))


def _prometheus(args: argparse.Namespace, address: str) -> Prometheus:
    from autoscale.live.prometheus import Prometheus

    return Prometheus(args.prometheus or address, args.token)


def _counting(args: argparse.Namespace, spec: ScaledObject) -> list[str]:
    """kube-state-metrics' count, then where that is absent the engines that the trigger `ready` counts."""
    from autoscale.live.moments import engines_query
    from autoscale.simulate.prometheus import PROVISIONED

    if args.replicas_query:
        return [str(args.replicas_query)]
    counted = f'max({PROVISIONED}{{namespace="{spec.namespace}",deployment="{spec.workload}"}})'
    ready = engines_query({trigger.name: trigger.query for trigger in spec.triggers})
    return [counted, ready] if ready else [counted]


def _from_file(file: Path, name: str | None) -> Mapping[str, Any]:
    import yaml

    from autoscale.lint.documents import load

    try:
        found = [each for each in load(file.read_text(encoding="utf-8")) if each.get("kind") == "ScaledObject"]
    except yaml.YAMLError:
        raise ValueError(f"{file}: is not YAML") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    return _only(found, name, str(file))


def _from_cluster(args: argparse.Namespace) -> Mapping[str, Any]:
    from autoscale.live.cluster import Cluster, ClusterError

    try:
        found = Cluster(args.namespace, args.context).documents()
    except ClusterError as error:
        raise ValueError(f"{error}; or give --file") from None
    return _only(found, args.name, args.namespace)


def _only(found: list[Any], name: str | None, place: str) -> Mapping[str, Any]:
    names = [str((each.get("metadata") or {}).get("name")) for each in found]
    chosen = [each for each, own in zip(found, names, strict=True) if name in (None, own)]
    if len(chosen) == 1:
        return dict(chosen[0])
    there = ", ".join(names) or "none"
    wants = f"no ScaledObject {name}" if name else "not exactly one ScaledObject, name the one"
    raise ValueError(f"{place}: {wants}; there: {there}")


def _write(path: Path, replayed: Replayed) -> None:
    tree = {
        "name": replayed.name,
        **replayed.span._asdict(),
        "facts": dict(replayed.facts),
        "notes": list(replayed.notes),
        "changes": [change._asdict() for change in replayed.changes],
        "steps": [step._asdict() for step in replayed.steps],
    }
    path.write_text(json.dumps(tree) + "\n", encoding="utf-8")


def _print(replayed: Replayed) -> None:
    for what, which in replayed.facts:
        print(f"{what}: {which}")
    for note in replayed.notes:
        print(f"note: {note}")
    for change in replayed.changes[:_SHOWN]:
        reading = "" if change.reading is None else f" = {change.reading:.4g}"
        print(f"{replayed.span.at(change.seconds)}  {change.before} -> {change.after}  {change.why or '-'}{reading}")
    if len(replayed.changes) > _SHOWN:
        print(f"and {len(replayed.changes) - _SHOWN} more changes")
