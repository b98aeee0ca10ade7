"""What `tidegate bench` finds beside what is true: a known knee, and a stall that a closed loop does not see."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import knee_truth, load_run, report
from bench.knee_model import Profile
from bench.load_run import CLIENT_CORE, Found, Load, Tree
from bench.loads import run_pinned
from bench.report import Bar
from loadtest.plan import Arrivals, Lengths, TrafficClass, Workload
from loadtest.slo import PRESETS
from loadtest.traffic.schedule import schedule
from loadtest.traffic.session import Session

QUANTILE = 0.95
_CHAT = PRESETS["chat"]
_KNEE = Profile(base_seconds=0.012, per_sequence_seconds=0.0004, max_num_seqs=48)
_KNEE_TRAFFIC = TrafficClass(
    input=Lengths(median=60, sigma=0.4, high=300), output=Lengths(median=32, sigma=0.3, high=96)
)
_OTHER_SEEDS = tuple(range(500, 512))
_STALL = Profile(
    base_seconds=0.01, per_sequence_seconds=0.0, max_num_seqs=512, stall_at_seconds=1.0, stall_every_seconds=10.0
)
_STALL_RATE, _STALL_TOKENS = 20.0, 64
_STALL_TRAFFIC = TrafficClass(
    input=Lengths(median=20, high=20), output=Lengths(median=_STALL_TOKENS, high=_STALL_TOKENS)
)
_WARMUP_SECONDS = 5.0


@dataclass(frozen=True)
class Length:
    """How long one probe of the search lasts, warm-up included, and how many periods of the stall are watched."""

    probe_seconds: float = 30.0
    stalls: int = 3


FULL, QUICK = Length(), Length(12.0, 1)


def knee(length: Length) -> tuple[str, list[Bar]]:
    """The goodput that a search finds, beside the one that the engine has."""
    with load_run.knee_engine(_KNEE) as (_, url):
        options = [*_options(_KNEE_TRAFFIC, length.probe_seconds), "--engine-url", url.removesuffix("/v1")]
        found = load_run.run(Load("knee", "goodput", url, options))
    probes = len(found.probes)
    true = _true_goodput(length.probe_seconds, _OTHER_SEEDS)
    # The conductor gives the first probe of seed 0 the seed 0, and each later one the next.
    same = _true_goodput(length.probe_seconds, tuple(range(probes)))
    rows = [
        ["true, over 12 other schedules", f"{true:.1f}"],
        ["true, over the schedules of the run", f"{same:.1f}"],
        [f"found in {probes} probes [95 %]", load_run.rate(found.goodput(QUANTILE))],
        ["probes not counted, since the client was the limit", str(probes - len(_trusted(found)))],
    ]
    return report.table(["known knee: goodput at 0.95", "requests/s"], rows), _knee_bars(found, true)


def _knee_bars(found: Found, true: float) -> list[Bar]:
    goodput = found.goodput(QUANTILE)
    value = None if goodput["withheld"] else goodput["rate"]["value"]
    lags = [client["send_lag_p99_seconds"] for client in _trusted(found)]
    lag_ms = max(lag * 1000 for lag in lags if lag is not None) if any(lags) else None
    return [
        Bar("known knee: goodput found, off the true one by", None if value is None else abs(value / true - 1), 0.10),
        Bar("known knee: probes", float(len(found.probes)), 15, "probes"),
        Bar("known knee: send lag p99, worst probe of the verdict", lag_ms, 5, "ms"),
        Bar("known knee: figures of the engine unlike the client's", load_run.differing(found), 0, "figures"),
    ]


def _trusted(found: Found) -> list[Tree]:
    return [probe["client"] for probe in found.probes if not probe["client"]["reasons"]]


def stall(length: Length) -> tuple[str, list[Bar]]:
    """Open loop, closed loop and arithmetic over an engine that stands still for 2 s in every 10."""
    seconds = length.stalls * _STALL.stall_every_seconds
    more = ["--rates", f"{_STALL_RATE:g}", "--set", "arrivals.kind=constant"]
    more += ["--set", f"warmup_seconds={_WARMUP_SECONDS}"]
    options = [*_options(_STALL_TRAFFIC, _WARMUP_SECONDS + seconds), *more]
    with load_run.knee_engine(_STALL) as (_, url):
        probe = load_run.run(Load("stall", "curve", url, options)).probes[0]
        clients = max(1, round(probe["scheduled_rate"] * probe["e2e"]["mean"]))
        closed = _closed(url, clients, seconds)
    true = knee_truth.stalled_attainment(_STALL, _CHAT)
    in_open, in_closed = float(probe["attainment"]["value"]), closed["good"] / closed["requests"]
    rows = [
        ["arithmetic", f"{true:.1%}", "-"],
        [f"open loop, {_STALL_RATE:g} requests/s", f"{in_open:.1%}", f"{sum(probe['outcomes'].values()):,}"],
        [f"closed loop, {clients} clients, TTFT from dispatch", f"{in_closed:.1%}", f"{closed['requests']:,}"],
    ]
    return report.table(["engine that stands still 2 s in every 10 s", "attainment", "requests"], rows), [
        Bar("stall: open-loop attainment, off the arithmetic one by", abs(in_open / true - 1), 0.02),
        Bar("stall: closed-loop over open-loop attainment", in_closed / in_open, 1.1, at_least=True),
    ]


def _true_goodput(probe_seconds: float, seeds: Sequence[int]) -> float:
    def sessions(rate: float, seed: int) -> Sequence[Session]:
        return schedule(Workload(classes=(_KNEE_TRAFFIC,)), Arrivals(), rate, probe_seconds, seed)

    probe = knee_truth.Probe(_CHAT, probe_seconds, min(_WARMUP_SECONDS, probe_seconds / 6), tuple(seeds))
    return knee_truth.goodput(_KNEE, probe, sessions, QUANTILE)


def _options(traffic: TrafficClass, probe_seconds: float) -> list[str]:
    lengths = {"input": traffic.input.model_dump_json(), "output": traffic.output.model_dump_json()}
    sets = [text for name, tree in lengths.items() for text in ("--set", f"workload.classes.0.{name}={tree}")]
    return ["--preset", "chat", "--seed", "0", "--seconds", f"{probe_seconds:g}", *sets]


def _closed(url: str, clients: int, seconds: float) -> dict[str, Any]:
    options = {"--base-url": url, "--clients": clients, "--seconds": seconds, "--max-tokens": _STALL_TOKENS}
    flags = [str(text) for pair in options.items() for text in pair]
    seen: dict[str, Any] = json.loads(
        run_pinned([sys.executable, "-m", "bench.load_closed", *flags], {}, str(CLIENT_CORE))
    )
    return seen
