"""`tidegate scale profile`: an engine's address becomes its profile, its knees and the law's parameters."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.extras import failed, installed
from serving.cli.options import Subparsers

if TYPE_CHECKING:
    from autoscale.engine_profile import EngineProfile
    from autoscale.profile.parameters import Carried
    from loadtest.slo import Slo

# How far from 1 replica the law may count a replica at its knee.
_RIGHT = 0.1


def add(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "profile",
        help="measure an idle vLLM and fit the step model that the law and the simulator go by",
        description="Measures a vLLM that nobody else uses, for a minute or two, and writes its profile as JSON. "
        "Then simulates what one replica carries within an SLO and prints the law's parameters for the chart's values.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--url", help="the engine itself, not the front, e.g. http://127.0.0.1:30000")
    source.add_argument("--profile", type=Path, metavar="FILE", help="measured before: only simulate")
    _add_engine(parser)
    parser.add_argument("--slo", default="chat", help="SLO class of the load test (default: chat)")
    parser.add_argument("--ttft", type=float, metavar="SECONDS", help="instead of the class's own limit")
    parser.add_argument("--tpot", type=float, metavar="SECONDS", help="instead of the class's own limit")
    parser.add_argument(
        "--workload",
        action="append",
        metavar="NAME",
        help="preset of the load test, repeatable (default: chat and code-relaxed, which tell the two rates apart)",
    )
    parser.set_defaults(run=run)


def _add_engine(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    if not installed("scale", "aiohttp", "numpy", "numba"):
        return 2
    from autoscale.profile.marks import ProfileError
    from autoscale.simulate.knee import MIX

    try:
        slo = _slo(args)
        profile = _measured(args) if args.url else _read(args.profile)
        print("simulating one replica: the first run compiles for half a minute", file=sys.stderr, flush=True)
        return _told(profile, slo, args.workload or MIX)
    except (ProfileError, ValueError, OSError) as error:
        return failed(error, 2)


def _slo(args: argparse.Namespace) -> Slo:
    from loadtest.slo import PRESETS, Slo

    if args.slo not in PRESETS:
        raise ValueError(f"--slo {args.slo}: must be one of {', '.join(PRESETS)}")
    preset = PRESETS[args.slo]
    for name in ("ttft", "tpot"):
        if (limit := getattr(args, name)) is not None and not limit > 0:
            raise ValueError(f"--{name} {limit:g}: must be above 0")
    return Slo(preset.name, args.ttft or preset.ttft_seconds, args.tpot or preset.tpot_seconds, preset.e2e_seconds)


def _measured(args: argparse.Namespace) -> EngineProfile:
    from autoscale.profile.run import Target, measure

    target = Target(args.url, args.key, args.model, args.max_num_seqs, args.max_batched_tokens, args.hardware)
    profile = asyncio.run(measure(target, lambda line: print(line, file=sys.stderr, flush=True))).profile
    profile.save(args.out)
    for kind, off in profile.residuals.items():
        print(f"{kind}: the fit is off by {off:.1%} in the mean")
    print(f"{args.out} holds the profile")
    return profile


def _read(file: Path) -> EngineProfile:
    from pydantic import ValidationError

    from autoscale.engine_profile import EngineProfile

    try:
        return EngineProfile.load(file)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"--profile {file} is no profile: {place and place + ': '}{first['msg']}") from None


def _told(profile: EngineProfile, slo: Slo, workloads: list[str] | tuple[str, ...]) -> int:
    """1 where no workload is carried."""
    from autoscale.profile.parameters import SHARE, carried, counted, rates, values

    found = [carried(profile, name, slo) for name in dict.fromkeys(workloads)]
    for each in found:
        print(_line(each))
    if (of := rates(found)) is None:
        return failed(f"this engine carries none of it within {_limits(slo)}: give another SLO or a faster engine", 1)
    if sum(each.knee > 0 for each in found) == 1:
        print("one workload alone does not tell what prompts cost from what outputs cost: each is paid half a replica")
    for each in found:
        if each.knee > 0 and abs((replicas := counted(each, of)) - 1) > _RIGHT:
            print(f"these rates are not {each.workload}'s: at its knee the law would count {replicas:.2f} replicas")
            print("  for it; where that is your traffic, give it alone by --workload")
    print(f"\n# Of this model's entry in the chart's values: {SHARE:.0%} within {_limits(slo)} at the knee.")
    print(values(of, slo))
    return 0


def _line(of: Carried) -> str:
    prompt, output = of.tokens
    asked = f"{of.workload} ({prompt:.0f} + {output:.0f} tokens a request)"
    if of.why_none:
        return f"{asked}: {of.why_none}"
    return f"{asked}: knee of one replica {of.knee:.2f} requests/s"


def _limits(slo: Slo) -> str:
    ttft = "any TTFT" if slo.ttft_seconds is None else f"TTFT {slo.ttft_seconds:g} s"
    return f"{ttft}, {'any TPOT' if slo.tpot_seconds is None else f'TPOT {slo.tpot_seconds:g} s'}"
