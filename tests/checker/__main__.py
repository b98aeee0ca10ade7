"""`python -m tests.checker --seed N --seconds S --store postgres`: one run, its report, and exit 1 on a violation."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.checker.run import run
from tests.support.state_world import STORES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--store", choices=list(STORES), default="sqlite")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--log", type=Path, help="a file for every request, one a line")
    asked = parser.parse_args()
    sys.stdout.write(f"seed {asked.seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), asked.store, asked.seed, asked.seconds, clients=asked.clients)
    sys.stdout.write(f"{report}\n")
    if asked.log is not None:
        asked.log.write_text("".join(f"{request}\n" for request in report.requests), encoding="utf-8")
    return 1 if report.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
