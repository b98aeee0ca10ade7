"""Runs one probe after another over the workers and judges each; it does not know why a rate is chosen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadtest.live import Live, Running, Snapshot
from loadtest.plan import Plan
from loadtest.preparation import Prepared
from loadtest.probe import Probe
from loadtest.records import Rows, joined
from loadtest.results import Goodput, Paired, ProbeResult
from loadtest.selfcheck import lag_quantile
from loadtest.slo import Fault
from loadtest.traffic.traces import read
from loadtest.verdict import measures
from loadtest.verdict.attainment import wilson
from loadtest.verdict.backlog import grows
from loadtest.verdict.client_check import check
from loadtest.verdict.goodput import Blocks, blocks, estimate
from loadtest.verdict.paired import paired
from loadtest.verdict.probe_result import Offered, count_outcomes, good_of, judge, spread
from loadtest.verdict.search import Search
from loadtest.workers import Live as SoFar
from loadtest.workers import ProbeBroken, Run, Workers
from serving.cli.progress import Progress

_DECIDED_SECONDS = 5.0
_AFTER_TRACE_SECONDS = 1.0


class ServerGone(ProbeBroken):
    """Not one request of a probe got as far as an answer's status: there is nothing left to measure."""


class Prober:
    """Keeps every probe of a run, with its rows."""

    def __init__(self, plan: Plan, workers: Workers, prepared: Prepared, live: Live, progress: Progress) -> None:
        self._plan, self._workers, self._prepared = plan, workers, prepared
        self._live, self._progress = live, progress
        self._began = time.perf_counter()
        self._bracket = ""
        self._searching = False
        self._parts: list[Rows] = []
        self._blocks: dict[int, Blocks] = {}
        self._offered: dict[int, Offered] = {}
        self.results: list[ProbeResult] = []

    @property
    def rows(self) -> Rows:
        """Of all probes."""
        return joined(self._parts)

    def watched(self, search: Search) -> None:
        """The next probe is a step of this search: it may end as soon as it has failed."""
        self._bracket, self._searching = search.explain(), True

    def run(self, target: int, rate: float, seed: int | None = None) -> ProbeResult:
        """Offer `rate` (0: the trace's own) to a target, follow it to its end, judge it."""
        number = len(self.results)
        probe = Probe(
            number=number,
            target=target,
            rate=rate,
            seconds=self._seconds(rate),
            seed=self._plan.seed * 1000 + number if seed is None else seed,
            token_scale=self._prepared.scale,
            run=self._prepared.run,
        )
        began_unix = time.time() + probe.begin_in_seconds
        run = self._workers.run(probe, lambda so_far: self._watch(probe, so_far))
        self._parts.append(run.rows)
        result = self._judged(probe, run, began_unix)
        self.results.append(result)
        self._bracket, self._searching = "", False
        self._say(result)
        _check_reached(result, run.rows)
        return result

    def estimate(self, target: int, quantile: float) -> Goodput:
        """From all probes of a target so far."""
        return estimate(self.results, self._blocks, quantile, target)

    def paired(self, pairs: Sequence[tuple[int, int]]) -> Paired:
        """From blocks, each the numbers of a probe of A and one of B with the same schedule."""
        rows = self.rows
        a, b = rows[rows["target"] == 0], rows[rows["target"] == 1]
        blocks = [(self._offered[one], self._offered[other]) for one, other in pairs]
        return paired(a, b, blocks, self._plan.slos())

    def _seconds(self, rate: float) -> float:
        """How long to offer: the plan's time, or longer at a low rate, whose few requests would decide nothing."""
        if self._plan.arrivals.trace is None or rate:
            enough = self._plan.warmup_seconds + self._plan.search.min_requests / rate
            return max(self._plan.probe_seconds, min(enough, self._plan.search.max_probe_seconds))
        at_seconds = read(self._plan.arrivals.trace).at_seconds
        return max(self._plan.warmup_seconds, float(at_seconds[-1]) / self._plan.arrivals.speed) + _AFTER_TRACE_SECONDS

    def _judged(self, probe: Probe, run: Run, began_unix: float) -> ProbeResult:
        offered = Offered(
            probe.number,
            probe.target,
            probe.rate,
            self._plan.warmup_seconds,
            run.seconds if run.ended_early else probe.seconds,
            run.ended_early,
            began_unix,
        )
        self._offered[probe.number] = offered
        judged = offered.judged(run.rows)
        send_lags = measures.send_lag(judged[judged["fault"] != Fault.CUT])
        client = check(send_lags, lag_quantile(run.loop_lags, 0.99), run.cpu_share, run.late, run.dropped)
        self._blocks[probe.number] = blocks(run.rows, offered, self._plan.slos())
        result = judge(run.rows, offered, self._plan.slos(), self._plan.search.quantiles, client)
        return result if probe.rate else replace(result, offered_rate=result.scheduled_rate)

    def _watch(self, probe: Probe, so_far: SoFar) -> str:
        """Show where the probe stands; why to end it early, or nothing."""
        outcomes = measures.outcomes(so_far.rows, self._plan.slos())
        attainment = wilson(*good_of(outcomes)) if len(outcomes) else None
        in_flight = int(so_far.in_flight[-1]) if len(so_far.in_flight) else 0
        running = Running(
            number=probe.number,
            target=probe.target,
            rate=probe.rate,
            seconds=so_far.seconds,
            of_seconds=probe.seconds,
            warmup_seconds=self._plan.warmup_seconds,
            outcomes=count_outcomes(outcomes),
            attainment=attainment,
            ttft=spread(measures.ttft(so_far.rows)),
            tpot=spread(measures.tpot(so_far.rows)),
            in_flight=in_flight,
            late=so_far.late,
            dropped=so_far.dropped,
        )
        self.publish(replace(self.snapshot(), phase="probe", running=running))
        name = self._plan.targets[probe.target].name
        share = f", {attainment.value:.1%} good" if attainment else ""
        self._progress.tick(f"{name} at {probe.rate:g} rps, {so_far.seconds:.0f} s{share}, {in_flight} in flight")
        return self._hopeless(probe, so_far, outcomes)

    def _hopeless(self, probe: Probe, so_far: SoFar, outcomes: measures.Codes) -> str:
        """The backlog grows, and the answers so far fail every quantile: longer would only be later."""
        warmup = self._plan.warmup_seconds
        judged = so_far.rows["scheduled"] >= warmup
        decided = so_far.seconds >= warmup + _DECIDED_SECONDS
        if not self._searching or not decided or so_far.seconds >= probe.seconds or not judged.any():
            return ""
        fails = wilson(*good_of(outcomes[judged])).high < min(self._plan.search.quantiles)
        grown = fails and grows(so_far.in_flight_seconds, so_far.in_flight.astype(np.float64), warmup)
        return "the backlog grew" if grown else ""

    def snapshot(self) -> Snapshot:
        """The run as it stands between probes."""
        return Snapshot(
            seconds=time.perf_counter() - self._began,
            most_probes=self._plan.search.max_probes * len(self._plan.targets) if not self._plan.rates else None,
            bracket=self._bracket,
            probes=tuple(self.results),
        )

    def publish(self, snapshot: Snapshot) -> None:
        """Let the web UI show it."""
        self._live.publish(snapshot)

    def _say(self, result: ProbeResult) -> None:
        name = self._plan.targets[result.target].name
        attainment = result.attainment
        verdicts = " ".join(f"{quantile}:{verdict}" for quantile, verdict in result.verdicts.items())
        withheld = f"; no verdict: {result.client.reasons[0]}" if result.client.reasons else ""
        early = f" ({result.ended_early})" if result.ended_early else ""
        self._progress.say(
            f"probe {result.number + 1}, {name} at {result.offered_rate:.3g} rps: {attainment.value:.1%} good "
            f"[{attainment.low:.1%}, {attainment.high:.1%}], TTFT p90 {result.ttft.p90 * 1e3:.0f} ms, "
            f"TPOT p90 {result.tpot.p90 * 1e3:.1f} ms, {verdicts}{early}{withheld}"
        )


def _check_reached(result: ProbeResult, found: Rows) -> None:
    tried = found[found["fault"] != Fault.CUT]
    if len(tried) and not np.any(tried["status"]) and not np.any(tried["fault"] == Fault.TIMEOUT):
        raise ServerGone(f"probe {result.number + 1}: no request reached the server ({tried[-1]['detail'].decode()})")
