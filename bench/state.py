"""The state benchmark: what sessions cost the front, its Redis and its durable stores; see README.md."""

from __future__ import annotations

import sys

from bench import command, report, state_front, state_redis, state_stores

_METHOD = """\
The front's CPU is the scheduler's account of its process; the stores run in this process, as they do in a front.
The durable stores fsync; this machine's disk is a virtual one.
"""


def main() -> int:
    """Run all three parts; 1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.state", __doc__)
    rounds, seconds = (1, 2.0) if chosen.quick else (chosen.rounds or 3, 5.0)
    front, bars = state_front.measure(rounds, seconds)
    stores, store_bars, notes = state_stores.measure(seconds)
    sides, events = state_redis.measure()
    redis = report.table(state_redis.HEADERS, [side.row() for side in sides])
    bars = [*bars, *store_bars, *state_redis.bars(sides, events)]
    return command.conclude(
        "State", report.heading("", _METHOD, notes), "\n\n".join([front, stores, redis]), bars, chosen
    )


if __name__ == "__main__":
    sys.exit(main())
