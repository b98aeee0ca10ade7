"""What the command lines of both benchmarks share: options, the end of a run, and a stop that stops all children."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Sequence

from bench import report
from bench.processes import RUN_FOLDER
from bench.report import Bar


def options(prog: str, description: str | None) -> argparse.Namespace:
    """`quick`, `rounds` (None: the plan's own) and `strict`. Ends the process where another benchmark is running."""
    _alone(prog)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round; RESULTS.md stays as it is")
    parser.add_argument("--rounds", type=int, help="how often each load runs on each side")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed or not measured")
    return parser.parse_args()


def _alone(prog: str) -> None:
    """Two benchmarks on one machine measure each other. The lock goes with the process."""
    RUN_FOLDER.mkdir(parents=True, exist_ok=True)
    lock = os.open(RUN_FOLDER / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{prog}: another benchmark is running here; wait until it has ended")


def conclude(title: str, heading: str, tables: str, bars: Sequence[Bar], chosen: argparse.Namespace) -> int:
    """Print everything, keep a full run in RESULTS.md, and tell the exit status."""
    text = f"{tables}\n\n{report.bars_table(bars)}"
    print(f"\n{heading}\n\n{text}\n")
    if not chosen.quick:
        report.keep(title, f"{heading}\n\n{text}")
        print(f"Written to {report.RESULTS}")
    missed = [bar for bar in bars if not bar.held()]
    print(f"{len(bars) - len(missed)} of {len(bars)} bars held")
    for bar in missed:
        print(f"  {bar.text}: {bar.verdict()}")
    return 1 if missed and chosen.strict else 0
