"""The front-tier benchmark: what a front costs per request and per relayed event, all sides in one run.

It starts every side before one mock engine and loads them in turn, for several rounds; see README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from bench import front_bars, report, sides
from bench.front_bars import FULL, QUICK, Figures, Plan
from bench.loads import WRK, Json, Sample, Streams
from bench.processes import BenchError
from bench.sides import Side

_METHOD = """\
Front on core {front_core}, mock engine and load generator on core {mock_core}; median of {rounds} alternated rounds.
CPU is the scheduler's own account of a side's process tree. Request logs are off but where the side's name says so.
"""


def main() -> int:
    """Run the benchmark; 1 when `--strict` is given and a bar is missed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = QUICK if options.quick else FULL
    figures, missing = measure(plan, options.rounds or plan.rounds)
    bars = front_bars.bars(figures)
    text = f"{report.table(front_bars.HEADERS, front_bars.rows(figures))}\n\n{report.bars_table(bars)}"
    print(f"\n{text}\n")
    for line in missing:
        print(f"!!! {line}")
    if not options.quick:
        report.keep("Front tier", f"{_heading(figures, options.rounds or plan.rounds, missing)}\n\n{text}")
        print(f"Written to {report.RESULTS}")
    missed = [bar for bar in bars if not bar.held()]
    print(
        f"{len(bars) - len(missed)} of {len(bars)} bars held" + "".join(f"\n  {b.text}: {b.verdict()}" for b in missed)
    )
    return 1 if missed and options.strict else 0


def measure(plan: Plan, rounds: int) -> tuple[Figures, list[str]]:
    """The figures of every side that can be started, and a line about each that cannot."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(sides.started(sides.mock()))
        launches, missing = sides.fronts(engine.port)
        up = [engine]
        for launch in launches:
            try:
                up.append(stack.enter_context(sides.started(launch)))
            except BenchError as error:
                missing.append(f"{launch.name} DID NOT START: {error}")
        for line in missing:
            print(f"!!! {line}", flush=True)
        if WRK is None:
            missing.append("JSON LOADS ARE MISSING: wrk is not installed; apt-get install wrk")
        samples = _rounds(plan, rounds, up)
    return Figures(plan, up, samples), missing


def _rounds(plan: Plan, rounds: int, up: Sequence[Side]) -> dict[tuple[str, Json | Streams], list[Sample]]:
    """Each load runs on all sides before the next one, each round beginning with another side."""
    samples: dict[tuple[str, Json | Streams], list[Sample]] = defaultdict(list)
    for number in range(rounds):
        begun = time.monotonic()
        for load in plan.loads():
            if isinstance(load, Json) and WRK is None:
                continue
            for place in range(len(up)):
                side = up[(place + number) % len(up)]
                sample = load.run(side)
                samples[side.name, load].append(sample)
                _progress(side, load, sample)
        print(f"round {number + 1} of {rounds}: {time.monotonic() - begun:.0f} s", flush=True)
    return samples


def _progress(side: Side, load: Json | Streams, sample: Sample) -> None:
    what = f"{type(load).__name__.lower()} c={load.connections}"
    trouble = f"  {sample.errors} ERRORS {sample.first_error}" if sample.errors else ""
    print(f"  {what:<14} {side.name:<24} {sample.cpu_us:7.1f} CPU-µs {sample.per_second:9,.0f}/s{trouble}", flush=True)


def _heading(figures: Figures, rounds: int, missing: Sequence[str]) -> str:
    versions = ", ".join(f"{side.name} {side.version}" for side in figures.sides if side.version)
    method = _METHOD.format(front_core=sides.FRONT_CORE, mock_core=sides.MOCK_CORE, rounds=rounds)
    notes = "".join(f"\n{line.splitlines()[0]}" for line in missing)
    return (
        f"{report.today()}, {report.machine()}. {versions}, Python {sys.version.split()[0]}.\n{method}{notes}".strip()
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.front", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round; RESULTS.md stays as it is")
    parser.add_argument("--rounds", type=int, help="how often each load runs on each side")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed or not measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
