"""The load test's own benchmark: what its client costs, whether what it finds is true, how fast its report opens."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import command, load_reader, load_report, load_starved, load_truth, report
from bench.neighbours import Neighbours
from bench.processes import BenchError
from bench.report import Bar

_METHOD = """\
Engine on core 0, load test on core 1; the engine is a step model whose goodput and attainment are known by arithmetic.
"""


def main() -> int:
    """Run all parts; 1 when `--strict` is given and a bar is missed or a part could not be run."""
    chosen = command.options("bench.loadtest", __doc__)
    length = load_truth.QUICK if chosen.quick else load_truth.FULL
    rounds = 2 if chosen.quick else (chosen.rounds or 5)
    parts: dict[str, Callable[[], tuple[str, list[Bar]]]] = {
        "client's cost": lambda: _reader(rounds),
        "known knee": lambda: load_truth.knee(length),
        "stall": lambda: load_truth.stall(length),
        "client as the limit": load_starved.measure,
        "report": lambda: load_report.measure(chosen.quick),
    }
    neighbours = Neighbours(())
    tables, bars, notes = [], [], []
    for name, measure in parts.items():
        print(f"{name} ...", flush=True)
        try:
            table, more = measure()
        except BenchError as error:
            notes.append(f"{name} WAS NOT MEASURED: {error}")
            bars.append(Bar(name, None, 0))
            continue
        tables.append(table)
        bars += more
    heading = report.heading("", _METHOD, [neighbours.verdict(), *notes])
    return command.conclude("Load test", heading, "\n\n".join(tables), bars, chosen)


def _reader(rounds: int) -> tuple[str, list[Bar]]:
    compared = load_reader.compare(rounds)
    return compared.table(), [compared.bar()]


if __name__ == "__main__":
    sys.exit(main())
