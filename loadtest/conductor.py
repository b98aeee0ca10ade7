"""One run from the idle server to the written reports: the story of a load test, in order.

It knows what comes after what; how a rate is offered, judged or drawn is known elsewhere.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

from loadtest.client.faults import ClientError
from loadtest.kinds import Found, follow
from loadtest.live import Live, Snapshot
from loadtest.plan import Plan
from loadtest.preparation import Prepared, prepare
from loadtest.prober import Prober
from loadtest.report.files import write_all
from loadtest.report.gate import checks, exit_status
from loadtest.report.json_file import dumps
from loadtest.report.text import summary
from loadtest.results import Result
from loadtest.server.watch import Watch
from loadtest.verdict.cost import cost, with_gpus
from loadtest.workers import ProbeBroken, Workers
from serving.cli.progress import Progress

WRONG_ARGUMENT = 2


def conduct(plan: Plan, workers: Workers, live: Live) -> int:
    """Run the plan and write its reports; the exit status: 0 all checks hold, 1 one failed, 2 it could not be run, 3
    there is no verdict."""
    progress = Progress(sys.stderr)
    began = datetime.now(UTC)
    live.publish(Snapshot("floor", said="Measuring the idle server"))
    try:
        prepared = prepare(plan, time.perf_counter, progress.say)
    except ClientError as error:
        live.publish(Snapshot("done", said=str(error)))
        progress.say(f"error: {error}")
        return WRONG_ARGUMENT
    watch = Watch(plan)
    prober = Prober(plan, workers, prepared, live, progress)
    found, broken = Found(), ""
    with watch:
        try:
            found = follow(plan, prober, prepared.start_rate)
        except ProbeBroken as error:
            broken = str(error)
            progress.say(f"stopped: {broken}")
    result = _result(plan, prepared, prober, watch, found)
    result = replace(result, began=began.isoformat(timespec="seconds"), broken=broken)
    result = replace(result, checks=checks(result, plan.gate))
    return _told(plan, result, prober, progress)


def _told(plan: Plan, result: Result, prober: Prober, progress: Progress) -> int:
    progress.say("writing the reports")
    paths = write_all(result, prober.rows, plan.out)
    prober.publish(
        replace(prober.snapshot(), phase="done", goodputs=result.goodputs, checks=result.checks, report=paths[0])
    )
    sys.stdout.write(f"{dumps(result) if plan.as_json else summary(result, plan.out)}\n")
    sys.stdout.flush()
    return exit_status(result)


def _result(plan: Plan, prepared: Prepared, prober: Prober, watch: Watch, found: Found) -> Result:
    series = watch.sampler.series()
    replicas = [value for value in series.values.get("replicas", ()) if value]
    gpus = plan.gpus_per_replica * (sum(replicas) / len(replicas) if replicas else 0.0)
    return Result(
        plan=plan.model_dump(mode="json"),
        began="",
        seconds=prober.snapshot().seconds,
        machine={**_machine(), **watch.described()},
        floors=prepared.floors,
        probes=tuple(prober.results),
        goodputs=tuple(with_gpus(goodput, gpus) if goodput.target == 0 else goodput for goodput in found.goodputs),
        crosscheck=watch.reconciled(prober.rows),
        series=series,
        cost=cost(series, prober.results, plan.gpus_per_replica),
        paired=found.paired,
        checks=(),
        notes=found.notes,
    )


def _machine() -> dict[str, str]:
    return {
        "client": platform.node(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
