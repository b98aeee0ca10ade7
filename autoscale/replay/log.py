"""A request log as a trace for the simulator: its requests at their own times, its rate from itself, its own knee."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoscale.simulate import knee
from autoscale.simulate.fleet import Ints, Requests
from autoscale.simulate.knee import MIX, Fleets
from autoscale.simulate.laws.named import Setting
from autoscale.simulate.run import Settings, told
from autoscale.simulate.traffic import Curve, Trace
from loadtest.slo import Slo
from loadtest.traffic import traces

RECORDED = "recorded"
_LEAST_SECONDS = 300.0
_KNOT_SECONDS = 15.0
# So many requests in a window make its rate right within a tenth.
_COUNTED = 100
_LEAST_WINDOW_SECONDS = 60.0
_SPREAD_SECONDS = 30.0


def read(path: Path, times: int = 1, seed: int = 1) -> Trace:
    """The log's requests, `times` over at slightly shifted moments. Raises `ValueError` (`TraceError`) naming the file.

    Formats: a front's request log, Azure's CSV, Mooncake's JSON lines.
    """
    found = traces.read(path)
    seconds = float(found.at_seconds[-1])
    if seconds < _LEAST_SECONDS:
        text = (
            f"{path}: its {len(found.at_seconds)} requests span {seconds:.0f} s; laws need {_LEAST_SECONDS:g} s or more"
        )
        raise ValueError(text)
    requests = _dense(_requests(found), times, seconds, seed)
    skipped = f", {found.skipped} lines without a generation left out" if found.skipped else ""
    about = f"{len(requests.at_seconds)} requests in {seconds / 3600:.2g} h at their own times{skipped}"
    return Trace(path.name, about, seconds, requests, {RECORDED: smoothed(requests, seconds)})


def setting(trace: Trace, fleets: Fleets, settings: Settings, seed: int = 1) -> Setting:
    """What laws are told on it. Raises `ValueError` where no rate of it holds the SLO."""
    of_knees = {**knee.knees(fleets, MIX, settings.slo), RECORDED: own_knee(trace, fleets, settings.slo, seed)}
    return told(trace, of_knees, settings)


def own_knee(trace: Trace, fleets: Fleets, slo: Slo, seed: int = 1) -> float:
    """Requests per second of one replica, of the log's requests in their order at a steady rate."""

    def drawn(rate: float) -> Requests:
        rng = np.random.Generator(np.random.PCG64(seed))
        gaps = rng.exponential(1 / rate, max(1, round(rate * knee.SECONDS)))
        own = trace.requests
        copies = -(-len(gaps) // len(own.at_seconds))
        repeated = [_apart(own, copy) for copy in range(copies)]
        columns = (np.concatenate(each)[: len(gaps)] for each in zip(*repeated, strict=True))
        return Requests(*columns)._replace(at_seconds=np.cumsum(gaps))

    return knee.bisected(trace.name, drawn, fleets, slo)


def smoothed(requests: Requests, seconds: float) -> Curve:
    """Requests per second in a window about each knot, as wide as their number asks for."""
    rate = len(requests.at_seconds) / seconds
    window = min(max(_LEAST_WINDOW_SECONDS, _COUNTED / rate), seconds)
    knots = np.linspace(0.0, seconds, 1 + max(1, round(seconds / _KNOT_SECONDS)))
    low, high = np.maximum(knots - window / 2, 0.0), np.minimum(knots + window / 2, seconds)
    counts = np.searchsorted(requests.at_seconds, high, side="right") - np.searchsorted(requests.at_seconds, low)
    return knots, counts / (high - low)


def _requests(found: traces.Trace) -> Requests:
    """A request of a conversation finds the one before it cached, prompt and answer."""
    cached = np.zeros(len(found.session), np.int64)
    last: dict[int, int] = {}
    for at, session in enumerate(found.session.tolist()):
        if session < 0:
            continue
        whole = int(found.input_tokens[at])
        cached[at] = min(last.get(session, 0), whole - 1)
        last[session] = whole + int(found.output_tokens[at])
    return Requests(
        at_seconds=found.at_seconds,
        prompt_tokens=_ints(found.input_tokens),
        output_tokens=_ints(found.output_tokens),
        group=_ints(found.session),
        prefix_tokens=_ints(cached),
    )


def _ints(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Ints:
    return values.astype(np.int32)


def _dense(requests: Requests, times: int, seconds: float, seed: int) -> Requests:
    rng = np.random.Generator(np.random.PCG64(seed))
    copies = [requests]
    for copy in range(1, times):
        # A whole conversation moves: its requests keep their distances.
        moved = (requests.at_seconds + rng.uniform(0, _SPREAD_SECONDS) + rng.uniform(0, seconds / 1000)) % seconds
        copies.append(_apart(requests, copy)._replace(at_seconds=moved))
    return _sorted(copies)


def _apart(requests: Requests, copy: int) -> Requests:
    """With conversations of its own."""
    count = int(requests.group.max(initial=-1)) + 1
    return requests._replace(group=np.where(requests.group < 0, -1, requests.group + copy * count).astype(np.int32))


def _sorted(parts: list[Requests]) -> Requests:
    columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Requests(*(column[order] for column in columns))
