"""What happened when, on one clock: outcomes per bin of arrival time, requests in flight, the servers' series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loadtest.report.judged import Judged, probe_begins
from loadtest.results import Result
from loadtest.slo import Outcome
from loadtest.verdict.measures import Floats

BINS = 240
POINTS = 480


def timeline(result: Result, found: Judged) -> dict[str, Any]:
    """Seconds since the first probe began; `outcomes` by target, then by outcome, then by bin."""
    begins = probe_begins(result.probes)
    lengths = [max(probe.seconds, probe.window_seconds) for probe in result.probes]
    end = max([1.0, *(begin + length for begin, length in zip(begins, lengths, strict=True))])
    width = max(1.0, float(np.ceil(end / BINS)))
    probes = [
        {"at": begin, "until": begin + length, "number": probe.number, "target": probe.target}
        for begin, length, probe in zip(begins, lengths, result.probes, strict=True)
    ]
    return {
        "end": end,
        "width": width,
        "probes": probes,
        "outcomes": _outcomes(found, end, width),
        "series": [_in_flight(found, end), *_series(result, begins, end)],
    }


def _outcomes(found: Judged, end: float, width: float) -> list[list[list[int]]]:
    counted = found.in_window & (found.outcome != Outcome.CUT)
    bins = int(np.ceil(end / width))
    place = ((found.began + found.rows["scheduled"])[counted] // width).astype(np.int64).clip(0, bins - 1)
    target = found.rows["target"][counted].astype(np.int64)
    targets = int(target.max(initial=0)) + 1
    kinds = len(Outcome) - 1  # CUT is the last, and counts nowhere
    flat = (target * kinds + found.outcome[counted]) * bins + place
    counts = np.bincount(flat, minlength=targets * kinds * bins).reshape(targets, kinds, bins)
    whole: list[list[list[int]]] = counts.tolist()
    return whole


def _in_flight(found: Judged, end: float) -> dict[str, Any]:
    """The client's own view, warm-up and all: it is there where no server could be scraped."""
    asked = (found.probe >= 0) & np.isfinite(found.rows["sent"]) & np.isfinite(found.rows["ended"])
    begins = np.sort((found.began + found.rows["sent"])[asked])
    ends = np.sort((found.began + found.rows["ended"])[asked])
    times = np.linspace(0, end, POINTS)
    values = np.searchsorted(begins, times, "right") - np.searchsorted(ends, times, "right")
    return {"name": "client_in_flight", "times": _rounded(times), "values": values.tolist()}


def _series(result: Result, begins: Sequence[float], end: float) -> list[dict[str, Any]]:
    if not result.series.unix:
        return []
    unix = np.array(result.series.unix)
    walls = [probe.began_unix - begin for probe, begin in zip(result.probes, begins, strict=True) if probe.began_unix]
    times = unix - (min(walls) if walls else unix[0])
    inside = (times >= 0) & (times <= end)
    times = times[inside]
    step = max(1, -(-len(times) // POINTS))
    made = []
    for name, samples in result.series.values.items():
        values = np.array([np.nan if value is None else value for value in samples], dtype=np.float64)[inside]
        if np.isfinite(values).any():
            made.append({"name": name, "times": _rounded(times[::step]), "values": _peaks(values, step)})
    return made


def _peaks(values: Floats, step: int) -> list[float | None]:
    """The highest of each `step` samples: a queue's peak is what hurts."""
    padded = np.full(-(-len(values) // step) * step, -np.inf)
    padded[: len(values)] = np.where(np.isfinite(values), values, -np.inf)
    highest = padded.reshape(-1, step).max(axis=1)
    return [None if value == -np.inf else float(f"{value:.4g}") for value in highest.tolist()]


def _rounded(times: Floats) -> list[float]:
    rounded: list[float] = np.round(times, 2).tolist()
    return rounded
