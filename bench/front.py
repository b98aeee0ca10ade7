"""The front-tier benchmark: what a front costs per request and per relayed event, all sides in one run.

It starts every side before one mock engine and loads them in turn, for several rounds; see README.md.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from bench import command, front_bars, report, sides
from bench.front_bars import FULL, QUICK, Figures, Plan
from bench.loads import WRK, Json, Sample, Streams
from bench.neighbours import Neighbours
from bench.processes import BenchError
from bench.sides import Side

_METHOD = """\
Front on core {front_core}, mock engine and load generator on core {mock_core}; best of {rounds} alternated rounds.
CPU is the scheduler's own account of a side's process tree. Request logs are off but where the side's name says so.
"""


def main() -> int:
    """Run the benchmark; 1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.front", __doc__)
    plan = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or plan.rounds
    figures, notes = measure(plan, rounds)
    table = report.table(front_bars.HEADERS, front_bars.rows(figures))
    return command.conclude("Front tier", _heading(figures, rounds, notes), table, front_bars.bars(figures), chosen)


def measure(plan: Plan, rounds: int) -> tuple[Figures, list[str]]:
    """The figures of every side that can be started, and notes: on the machine, and on each side that cannot."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(sides.started(sides.mock()))
        launches, missing = sides.fronts(engine.port)
        up = [engine]
        for launch in launches:
            try:
                up.append(stack.enter_context(sides.started(launch)))
            except BenchError as error:
                missing.append(f"{launch.name} DID NOT START: {error}")
        if WRK is None:
            missing.append("JSON LOADS ARE MISSING: wrk is not installed; apt-get install wrk")
        for line in missing:
            print(f"!!! {line}", flush=True)
        neighbours = Neighbours(side.child for side in up)
        samples = _rounds(plan, rounds, up)
        return Figures(plan, up, samples), [neighbours.verdict(), *missing]


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


def _heading(figures: Figures, rounds: int, notes: Sequence[str]) -> str:
    versions = ", ".join(f"{side.name} {side.version}" for side in figures.sides if side.version)
    method = _METHOD.format(front_core=sides.FRONT_CORE, mock_core=sides.MOCK_CORE, rounds=rounds)
    return report.heading(versions, method, notes)


if __name__ == "__main__":
    sys.exit(main())
