"""Laws side by side on the command line: the options that `simulate` and `replay` share, progress, table, report."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoscale.engine_profile import EngineProfile
    from autoscale.simulate.knee import Fleets
    from autoscale.simulate.laws.named import Setting
    from autoscale.simulate.run import Settings
    from autoscale.simulate.run_result import Comparison

_LAWS = ("tidegate", "llm-d", "playbook-value", "playbook-default", "static-peak")


def add_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--law", action="append", metavar="NAME", help=f"repeatable (default: {', '.join(_LAWS)})")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="by `scale profile` (default: an assumed H100, 8B)"
    )
    parser.add_argument("--slo", default="chat", help="SLO class of the load test (default: chat)")
    parser.add_argument("--cold-start", type=positive, default=180, metavar="SECONDS", help="median (default: 180)")
    parser.add_argument("--capacity-factor", type=positive, default=1, metavar="F", help="mis-state rates (default: 1)")
    parser.add_argument(
        "--shed-wait", type=positive, metavar="SECONDS", help="the front refuses what would wait longer"
    )
    parser.add_argument("--max-replicas", type=int, metavar="N", help="of every law (default: twice the peak's need)")
    parser.add_argument("--parameter", action="append", default=[], metavar="K=V", help="of keda/signals.yaml")
    parser.add_argument("--seed", type=int, default=1, help="the same one gives the same figures (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same as data")


def positive(text: str) -> float:
    """For argparse: a finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def writable(*files: Path | None) -> None:
    """Raises `ValueError` for a file that could not be written when all is done."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise ValueError(f"{file}: there is no folder {file.absolute().parent}")


def profile_of(args: argparse.Namespace) -> EngineProfile:
    """Raises `ValueError` naming the file and the field."""
    from pydantic import ValidationError

    from autoscale.engine_profile import ASSUMED_H100_8B, EngineProfile

    if args.profile is None:
        return ASSUMED_H100_8B
    try:
        return EngineProfile.load(args.profile)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"--profile {args.profile}: {field}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--profile {args.profile}: {getattr(error, 'strerror', None) or error}") from None


def laws_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Raises `ValueError` for a name that is none."""
    from autoscale.simulate.laws.named import NAMES

    for name in args.law or ():
        if name not in NAMES:
            raise ValueError(f"--law {name}: must be one of {', '.join(NAMES)}")
    return tuple(args.law or _LAWS)


def settings_of(args: argparse.Namespace, mean_replicas: float = 5, hours: float | None = None) -> Settings:
    """Raises `ValueError` naming the option."""
    from autoscale.simulate.run import Settings
    from autoscale.simulate.startup import ColdStart
    from autoscale.simulate.world import ClusterSettings
    from loadtest.slo import PRESETS

    if args.slo not in PRESETS:
        raise ValueError(f"--slo {args.slo}: must be one of {', '.join(PRESETS)}")
    if args.max_replicas is not None and args.max_replicas < 1:
        raise ValueError(f"--max-replicas {args.max_replicas}: must be at least 1")
    return Settings(
        cluster=ClusterSettings(cold_start=ColdStart(args.cold_start)),
        slo=PRESETS[args.slo],
        mean_replicas=mean_replicas,
        max_replicas=args.max_replicas,
        capacity_factor=args.capacity_factor,
        shed_wait_seconds=args.shed_wait,
        hours=hours,
        parameters=_parameters(args.parameter),
    )


def side_by_side(
    args: argparse.Namespace, profile: EngineProfile, settings: Settings, fleets: Fleets, setting: Setting
) -> None:
    """Runs the laws, each said as it ends, and writes what they were worth."""
    from autoscale import report
    from autoscale.simulate import run_result
    from autoscale.simulate.run import ORACLE, compared, runs

    laws, found = laws_of(args), []
    count = len(dict.fromkeys([*laws, ORACLE]))
    for run in runs(laws, fleets, settings, setting, args.seed):
        found.append(run)
        said(f"[{len(found)}/{count}] {run.law}: {run.totals.attainment:.1%} good, {run.totals.gpu_hours:.1f} GPU-h")
    comparison = compared(found, profile, settings, setting)
    report.write(comparison, args.out)
    if args.json:
        run_result.write(args.json, comparison)
    _print(comparison)
    print(f"{args.out} draws it")


def said(line: str) -> None:
    """Progress, beside what is printed as the result."""
    print(line, file=sys.stderr, flush=True)


def _parameters(assignments: list[str]) -> Mapping[str, str | float]:
    from autoscale import signals

    given = dict(_assigned(text) for text in assignments)
    try:
        signals.load().values({"model": "", **given})
    except ValueError as error:
        raise ValueError(f"--parameter: {error}") from None
    return given


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
    for run in sorted(comparison.runs, key=lambda run: -comparison.scores[run.law].score):
        score, totals = comparison.scores[run.law], run.totals
        print(
            f"{run.law:18} {score.score:6.2f} {totals.attainment:7.1%} {totals.gpu_hours:8.1f} "
            f"{score.gpu_ratio:9.2f} {totals.flips:6d} {totals.most_replicas:5d}"
        )
