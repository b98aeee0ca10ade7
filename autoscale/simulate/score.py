"""What a run was worth: goodput and GPU-hours against those of the oracle; it runs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoscale.simulate.fleet import Floats, Results
from autoscale.simulate.run_result import Run, Score, Spans, Totals
from loadtest.slo import Slo

RECOVERED = 0.9
_NOISE = 0.05


def good(results: Results, slo: Slo) -> NDArray[np.bool_]:
    """Per request. No TPOT: an answer of one token, judged by its TTFT. No TTFT: none came."""
    ttft, tpot = (math.inf if limit is None else limit for limit in (slo.ttft_seconds, slo.tpot_seconds))
    fast = np.isnan(results.tpot_seconds) | (results.tpot_seconds <= tpot)
    return ~results.rejected & (results.ttft_seconds <= ttft) & fast


def spans(at_seconds: Floats, results: Results, slo: Slo, seconds: float, width: float) -> Spans:
    """Counts by time of arrival."""
    edges = np.arange(0, seconds + width, width)
    held = good(results, slo)

    def counts(of: Floats) -> tuple[int, ...]:
        return tuple(np.histogram(of, edges)[0].tolist())

    return Spans(width, counts(at_seconds), counts(at_seconds[held]), counts(at_seconds[results.rejected]))


def totals(of: Spans, wanted: Sequence[int], gpu_seconds: float, died: int) -> Totals:
    offered, held = sum(of.offered), sum(of.good)
    return Totals(
        requests=offered,
        good=held,
        rejected=sum(of.rejected),
        attainment=held / offered if offered else 1.0,
        gpu_hours=gpu_seconds / 3600,
        flips=turns(wanted),
        most_replicas=max(wanted, default=0),
        recovery_seconds=_longest_below(of),
        died=died,
    )


def score(run: Run, oracle: Run, load_changes: int) -> Score:
    """(good / the oracle's good) x min(1, the oracle's GPU-hours / GPU-hours)."""
    goodput = run.totals.good / oracle.totals.good if oracle.totals.good else 0.0
    gpus = run.totals.gpu_hours / oracle.totals.gpu_hours if oracle.totals.gpu_hours else float("inf")
    return Score(
        score=goodput * min(1.0, 1 / gpus) if gpus else 0.0,
        goodput_ratio=goodput,
        gpu_ratio=gpus,
        flips_per_change=run.totals.flips / max(1, load_changes),
        overshoot=run.totals.most_replicas / max(1, oracle.totals.most_replicas),
    )


def turns(values: Sequence[float]) -> int:
    """How often a series turned from growing to shrinking or back."""
    steps = np.sign(np.diff(np.asarray(values, np.float64)))
    steps = steps[steps != 0]
    return int((steps[1:] != steps[:-1]).sum())


def load_changes(rates: Floats) -> int:
    """Turns of the offered rate; a change below a twentieth of its highest is none."""
    kept = [float(rates[0])]
    for rate in rates.tolist():
        if abs(rate - kept[-1]) > _NOISE * float(rates.max()):
            kept.append(rate)
    return turns(kept)


def _longest_below(of: Spans) -> float:
    longest = current = 0
    for share in of.attainment:
        current = current + 1 if share is not None and share < RECOVERED else 0
        longest = max(longest, current)
    return longest * of.width_seconds
