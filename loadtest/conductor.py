"""One run from the idle server to the written reports: the story of a load test, in order.

It knows what comes after what; how a rate is offered, judged or drawn is known elsewhere.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import gevent

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
from loadtest.results import CrossCheck, Result
from loadtest.server.crosscheck import Expect, reconcile
from loadtest.server.exposition import Snapshots
from loadtest.server.preflight import describe
from loadtest.server.sampler import INTERVAL_SECONDS, Sampler
from loadtest.server.scrape import Servers
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
    watch = _Watch(plan)
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


def _result(plan: Plan, prepared: Prepared, prober: Prober, watch: _Watch, found: Found) -> Result:
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
        crosscheck=watch.reconciled(prober),
        series=series,
        cost=cost(series, prober.results, plan.gpus_per_replica),
        paired=found.paired,
        checks=(),
        notes=found.notes,
    )


class _Watch:
    """What the servers say of themselves from the first probe to the last."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._servers = [Servers(target) for target in plan.targets]
        self.sampler = Sampler(self._servers[0], time.time)
        self._before: Sequence[Snapshots] = ()
        self._greenlet: Any = None

    def __enter__(self) -> _Watch:
        self._before = [servers.settled() for servers in self._servers]
        self._greenlet = gevent.spawn(self._sample)
        return self

    def __exit__(self, *_: object) -> None:
        self._greenlet.kill()

    def reconciled(self, prober: Prober) -> CrossCheck:
        """Every target's own figures against the client's."""
        rows, expect = prober.rows, Expect.of(self._plan)
        engines = [set(before.engines) for before in self._before]
        shared = len(engines) == 2 and bool(engines[0] & engines[1])
        found = [
            reconcile(before, servers.settled(), rows[rows["target"] == target], expect, rows if shared else None)
            for target, (servers, before) in enumerate(zip(self._servers, self._before, strict=True))
        ]
        return CrossCheck(
            checked=any(check.checked for check in found),
            entries=tuple(entry for check in found for entry in check.entries),
            note="; ".join(check.note for check in found if check.note),
        )

    def described(self) -> dict[str, str]:
        """What the servers are, for the report."""
        return {
            f"{target.name} {name}": text
            for target, servers in zip(self._plan.targets, self._servers, strict=True)
            for name, text in describe(servers, time.time()).items()
        }

    def _sample(self) -> None:
        while True:
            self.sampler.sample()
            gevent.sleep(INTERVAL_SECONDS)


def _machine() -> dict[str, str]:
    return {
        "client": platform.node(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
