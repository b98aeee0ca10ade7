"""The engine benchmark: what our cell, and our front before it, add to plain vLLM with the same model and flags.

All sides are up at the same time and loaded in turn, for several rounds; see README.md.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from bench import command, engine_bars, engine_sides, report
from bench.engine_bars import Figures, Load, Sample, Standing
from bench.loads import run_stream_client
from bench.neighbours import Neighbours
from bench.processes import BenchError, Child
from bench.sides import Side

FULL = (Load(1, 24, 64), Load(16, 128, 64), Load(64, 256, 64))
QUICK = (Load(1, 6, 64), Load(16, 32, 64), Load(64, 128, 64))
FULL_ROUNDS = 3
_IDLE_SECONDS = 5.0
_METHOD = """\
Tiny random Llama (bfloat16, 4 layers of 256), --max-model-len {length}, OMP_NUM_THREADS=1.
30-word prompts that no request shares, 64 tokens out, streaming.
No pinning: sides and load share all cores, one side is loaded at a time. Median of {rounds} alternated rounds.
"""


def main() -> int:
    """Run the benchmark; 1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.engine", __doc__)
    loads = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or (1 if chosen.quick else FULL_ROUNDS)
    try:
        figures, heading = measure(loads, rounds)
    except BenchError as error:
        print(f"!!! {error}", file=sys.stderr)
        return 1 if chosen.strict else 0
    return command.conclude("Engine cell", heading, engine_bars.tables(figures), engine_bars.bars(figures), chosen)


def measure(loads: Sequence[Load], rounds: int) -> tuple[Figures, str]:
    """The figures of every side that can be started, and what stands above them."""
    with engine_sides.all_up() as (up, serving, missing):
        standing = [_standing(side, serving[side.name]) for side in up]
        for side in up:
            _run(loads[-1], side, serving[side.name], "warm-up")
        neighbours = Neighbours(side.child for side in up)
        samples = _rounds(loads, rounds, up, serving)
        return Figures(loads, standing, samples), _heading(up, rounds, [neighbours.verdict(), *missing])


def _rounds(
    loads: Sequence[Load], rounds: int, up: Sequence[Side], serving: dict[str, tuple[Child, ...]]
) -> dict[tuple[str, Load], list[Sample]]:
    """Each load runs on all sides before the next one, each round beginning with another side."""
    samples: dict[tuple[str, Load], list[Sample]] = defaultdict(list)
    for number in range(rounds):
        for load in loads:
            for place in range(len(up)):
                side = up[(place + number) % len(up)]
                sample = _run(load, side, serving[side.name], f"round {number}")
                samples[side.name, load].append(sample)
                _progress(number, load, side, sample)
    return samples


def _run(load: Load, side: Side, children: Sequence[Child], salt: str) -> Sample:
    before = _cpu_seconds(children)
    more = ["--tokens", str(load.tokens), "--salt", f"{salt} c={load.concurrency}"]
    seen = run_stream_client(side.port, load.concurrency, load.requests, more, engine_sides.all_cores())
    cpu_seconds = _cpu_seconds(children) - before
    if seen["errors"]:
        print(f"!!! {side.name}: {seen['errors']} errors, the first: {seen['first_error']}", flush=True)
    return Sample(
        tokens_per_second=seen["output_tokens"] / seen["seconds"],
        ttft_p50_ms=seen["ttft_ms_p50"],
        tpot_p50_ms=(seen["durations_ms_p50"] - seen["ttft_ms_p50"]) / (load.tokens - 1),
        cpu_ms_per_token=cpu_seconds * 1000 / max(1, seen["output_tokens"]),
        errors=load.requests - seen["completed"],
    )


def _progress(number: int, load: Load, side: Side, sample: Sample) -> None:
    what = f"round {number + 1} c={load.concurrency}"
    speed = f"{sample.tokens_per_second:6,.0f} tok/s  TTFT {sample.ttft_p50_ms:5.0f} ms"
    print(f"  {what:<13} {side.name:<13} {speed}  {sample.cpu_ms_per_token:.2f} CPU-ms/token", flush=True)


def _standing(side: Side, children: Sequence[Child]) -> Standing:
    before = _cpu_seconds(children)
    time.sleep(_IDLE_SECONDS)
    idle_cpu = (_cpu_seconds(children) - before) / _IDLE_SECONDS
    return Standing(side.name, side.start_seconds, idle_cpu, sum(child.rss_mib() for child in children))


def _cpu_seconds(children: Sequence[Child]) -> float:
    return sum(child.cpu_seconds() for child in children)


def _heading(up: Sequence[Side], rounds: int, notes: Sequence[str]) -> str:
    versions = ", ".join(f"{side.name} {side.version}" for side in up)
    return report.heading(versions, _METHOD.format(length=engine_sides.MAX_MODEL_LEN, rounds=rounds), notes)


if __name__ == "__main__":
    sys.exit(main())
