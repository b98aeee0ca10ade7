"""What one probe came to: its rows become counts, quantiles and verdicts; it knows no search and no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtest.records import Rows
from loadtest.results import ClassResult, ClientCheck, Interval, ProbeResult, Spread
from loadtest.slo import Outcome, Slo
from loadtest.verdict import measures
from loadtest.verdict.attainment import verdict, wilson
from loadtest.verdict.histogram import Histogram


@dataclass(frozen=True)
class Offered:
    """A probe as it was run. `seconds` is how long arrivals went on, less than planned when it `ended_early`.

    `ended_early` says in words that the backlog grew: it fails the probe, whatever its answers were.
    """

    number: int
    target: int
    rate: float
    warmup_seconds: float
    seconds: float
    ended_early: str = ""
    began_unix: float = 0.0

    @property
    def judged_from(self) -> float:
        """Where its window begins. While a backlog grew, the first half of what ran was still the filling of it."""
        begin = min(self.warmup_seconds, self.seconds)
        return begin + (self.seconds - begin) / 2 if self.ended_early else begin

    @property
    def window_seconds(self) -> float:
        return self.seconds - self.judged_from

    def judged(self, found: Rows) -> Rows:
        """Its rows that were scheduled within the window."""
        inside = (found["scheduled"] >= self.judged_from) & (found["scheduled"] < self.seconds)
        mine = (found["probe"] == self.number) & (found["target"] == self.target)
        judged: Rows = found[inside & mine]
        return judged


def judge(
    found: Rows, offered: Offered, slos: Sequence[Slo], quantiles: Sequence[float], client: ClientCheck
) -> ProbeResult:
    """Judge the rows of `found` that belong to `offered`. Cut requests are in no figure but their own count."""
    judged = offered.judged(found)
    outcomes = measures.outcomes(judged, slos)
    counts = count_outcomes(outcomes)
    attainment = wilson(*good_of(outcomes))
    whole = judged[outcomes != Outcome.CUT]
    tpot = measures.tpot(whole)
    window = offered.window_seconds
    return ProbeResult(
        number=offered.number,
        target=offered.target,
        offered_rate=offered.rate,
        scheduled_rate=_per_second(len(judged), window),
        window_seconds=window,
        outcomes=counts,
        attainment=attainment,
        good_rate=_per_second(counts["good"], window),
        ttft=spread(measures.ttft(whole)),
        ttft_net=spread(measures.ttft_net(whole)),
        tpot=spread(tpot),
        e2e=spread(measures.e2e(whole[whole["fault"] == 0])),
        stall=spread(whole["stall"][np.isfinite(whole["first"])]),
        undefined_tpot=int(np.sum(np.isnan(tpot) & np.isfinite(whole["first"]) & (whole["fault"] == 0))),
        output_tokens=int(np.sum(np.maximum(whole["output_tokens"], 0))),
        classes=_classes(judged, outcomes, slos),
        client=client,
        verdicts=_verdicts(offered, attainment, quantiles),
        ended_early=offered.ended_early,
        began_unix=offered.began_unix,
        seconds=offered.seconds,
        histograms=_histograms(whole),
    )


def spread(seconds: measures.Floats) -> Spread:
    """Exact quantiles of the values that are there."""
    known = seconds[np.isfinite(seconds)]
    if not len(known):
        return Spread(0, *[float("nan")] * 6)
    quantiles = np.quantile(known, [0.5, 0.9, 0.95, 0.99, 1.0])
    return Spread(len(known), float(np.mean(known)), *(float(value) for value in quantiles))


def _histograms(found: Rows) -> dict[str, dict[str, Any]]:
    measured = {"ttft": measures.ttft(found), "tpot": measures.tpot(found), "e2e": measures.e2e(found)}
    made = {name: Histogram() for name in measured}
    for name, seconds in measured.items():
        made[name].add(seconds)
    return {name: histogram.to_dict() for name, histogram in made.items()}


def count_outcomes(outcomes: measures.Codes) -> dict[str, int]:
    """By lower-case name, every outcome, also those that did not occur."""
    counts = np.bincount(outcomes, minlength=len(Outcome))
    return {outcome.name.lower(): int(counts[outcome]) for outcome in Outcome}


def good_of(outcomes: measures.Codes) -> tuple[int, int]:
    """(good, all that count): sheds, errors and time-outs count, requests that the run's end cut do not."""
    return int(np.sum(outcomes == Outcome.GOOD)), int(np.sum(outcomes != Outcome.CUT))


def _verdicts(offered: Offered, attainment: Interval, quantiles: Sequence[float]) -> dict[str, str]:
    return {f"{quantile:g}": "fail" if offered.ended_early else verdict(attainment, quantile) for quantile in quantiles}


def _per_second(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _classes(judged: Rows, outcomes: npt.NDArray[np.uint8], slos: Sequence[Slo]) -> tuple[ClassResult, ...]:
    results = []
    for place, slo in enumerate(slos):
        mine = outcomes[judged["slo"] == place]
        results.append(ClassResult(slo.name, wilson(*good_of(mine)), count_outcomes(mine)))
    return tuple(results)
