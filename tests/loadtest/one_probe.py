"""A locustfile whose conductor runs one probe, at the plan's first rate, and writes what came of it."""

from __future__ import annotations

import json

from loadtest.live import Live as Shown
from loadtest.plan import Plan
from loadtest.probe import Probe
from loadtest.records import to_bytes
from loadtest.users import GoodputUser
from loadtest.wiring import wire
from loadtest.workers import Live, Workers

__all__ = ["GoodputUser"]


def conduct(plan: Plan, workers: Workers, _shown: Shown) -> int:
    looks: list[Live] = []

    def watch(live: Live) -> str:
        looks.append(live)
        return "long enough" if live.seconds > plan.search.max_probes else ""

    run = workers.run(Probe(0, 0, plan.rates[0], plan.probe_seconds, plan.seed), watch)
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "rows").write_bytes(to_bytes(run.rows))
    told = {
        "late": run.late,
        "dropped": run.dropped,
        "ended_early": run.ended_early,
        "seconds": run.seconds,
        "cpu_share": run.cpu_share,
        "lags": int(run.loop_lags.sum()),
        "in_flight": [int(count) for count in run.in_flight],
        "looks": len(looks),
    }
    (plan.out / "run.json").write_text(json.dumps(told))
    return 0


wire(conduct)
