"""The scaling law beside others, simulated: bursts, a day, wrong capacities, an outage, noise; the kernel's speed."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence

from bench import command, report, scale_kernel
from bench.autoscale_runs import Case, Outcome, Outcomes, run_all
from bench.report import Bar

_METHOD = """\
Assumed H100 profile, 8B model, chat SLO (500 ms, 50 ms), 5 replicas on average, 180 s median cold start.
Score: share of the oracle's good requests x its GPU-hours over the law's, at most 1. Median [range] over the seeds.
The seeds are not those that the law was tuned on (1 and 2), but for the day of one rate, by whose seed the scale-down
window was chosen. Shed: the front refuses what would wait 0.45 s or longer.
"""
_LAWS = ("tidegate", "llm-d", "playbook-value", "playbook-default", "production-stack", "static-peak")
_SEEDS = (11, 12, 13)
_BATCH = 128
_AWAY = (1800.0, 2100.0)
_PEERS = ("playbook-value", "playbook-default")
Found = dict[Case, Outcomes]


def main() -> int:
    """1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.autoscale", __doc__)
    seeds = _SEEDS[:1] if chosen.quick else _SEEDS
    cases = _cases(seeds, chosen.quick)
    found = run_all(cases)
    speed, speed_bars, knee = scale_kernel.measure(1 if chosen.quick else (chosen.rounds or 5), chosen.quick)
    tables = [_laws(found), _ours(found), speed]
    bars = [*_score_bars(found), *_steadiness_bars(found), *speed_bars]
    return command.conclude("Autoscaling", report.heading("", _METHOD, [knee]), "\n\n".join(tables), bars, chosen)


def _cases(seeds: Sequence[int], is_quick: bool) -> list[Case]:
    days = [] if is_quick else [Case("diurnal", seeds[0], _LAWS), *(Case("diurnal", seed) for seed in seeds[1:])]
    days += [] if is_quick else [Case("steady", seeds[0], hours=24.0)]
    bursts = [Case("bursty", seed, _LAWS, sheds=sheds) for seed in seeds for sheds in (True, False)]
    wrong = [Case("bursty", seed, capacity_factor=factor) for factor in (0.8, 1.2) for seed in seeds]
    batch = [Case("bursty", seed, _LAWS, max_num_seqs=_BATCH) for seed in seeds]
    ramps = [Case("ramp", seed) for seed in seeds]
    return [*days, *bursts, *wrong, *batch, *ramps, Case("bursty", seeds[0], outage=_AWAY)]


def _of(found: Found, law: str, wanted: Callable[[Case], bool]) -> list[Outcome]:
    return [outcomes[law] for case, outcomes in found.items() if law in outcomes and wanted(case)]


def _plain(trace: str, sheds: bool = True) -> Callable[[Case], bool]:
    return lambda case: case == Case(trace, case.seed, case.laws, sheds)


def _batch(case: Case) -> bool:
    return case == Case("bursty", case.seed, case.laws, max_num_seqs=_BATCH)


def _believed(factor: float) -> Callable[[Case], bool]:
    return lambda case: case == Case("bursty", case.seed, capacity_factor=factor)


def _median(outcomes: Sequence[Outcome]) -> float | None:
    return statistics.median(each.score for each in outcomes) if outcomes else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):.3f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.3f}, {max(values):.3f}]"


def _laws(found: Found) -> str:
    """Scores of every law on every trace."""
    columns = {
        "bursty, shed": _plain("bursty"),
        "bursty, no shed": _plain("bursty", False),
        f"bursty, shed, max_num_seqs {_BATCH}": _batch,
        "diurnal, shed": _plain("diurnal"),
    }
    rows = []
    for law in (*_LAWS, "oracle"):
        outcomes = [_of(found, law, wanted) for wanted in columns.values()]
        rows.append([law, *(_spread([each.score for each in some]) for some in outcomes)])
    return report.table(["law: score", *columns], rows)


def _ours(found: Found) -> str:
    """What is behind our scores, and what a wrong capacity, noise and an outage do."""
    rows = {
        "bursty, shed": _plain("bursty"),
        "bursty, no shed": _plain("bursty", False),
        "bursty, capacity believed x0.8": _believed(0.8),
        "bursty, capacity believed x1.2": _believed(1.2),
        "bursty, 5 min without Prometheus": lambda case: case.outage is not None,
        "ramp": _plain("ramp"),
        "diurnal": _plain("diurnal"),
        "a day of one rate, gaps with a CV of 3": lambda case: case.trace == "steady",
    }
    lines = [[name, *_line(_of(found, "tidegate", wanted))] for name, wanted in rows.items()]
    return report.table(["tidegate", "score", "attainment", "GPU-hours / oracle's", "flips", "load changes"], lines)


def _line(outcomes: Sequence[Outcome]) -> list[str]:
    parts = (
        [each.score for each in outcomes],
        [each.attainment for each in outcomes],
        [each.gpu_ratio for each in outcomes],
    )
    flips, changes = (", ".join(sorted({str(each[at]) for each in outcomes})) or "-" for at in (3, 4))
    return [*(_spread(values) for values in parts), flips, changes]


def _score_bars(found: Found) -> list[Bar]:
    bursty, diurnal = (_median(_of(found, "tidegate", _plain(trace))) for trace in ("bursty", "diurnal"))
    bars = [
        Bar("score, bursty, median of the seeds", bursty, 0.75, "", at_least=True),
        Bar("score, diurnal, median of the seeds", diurnal, 0.87, "", at_least=True),
    ]
    for name, sheds in (("shed", True), ("no shed", False)):
        ours = _median(_of(found, "tidegate", _plain("bursty", sheds)))
        for law, limit in (*((law, 3.0) for law in _PEERS), ("llm-d", 1.5)):
            theirs = _median(_of(found, law, _plain("bursty", sheds)))
            bars.append(Bar(f"score, bursty, {name}: / {law}", report.ratio(ours, theirs), limit, at_least=True))
    for factor in (0.8, 1.2):
        kept = report.ratio(_median(_of(found, "tidegate", _believed(factor))), bursty)
        bars.append(Bar(f"score kept, bursty, capacity believed x{factor:g}", kept, 0.9, at_least=True))
    return bars


def _steadiness_bars(found: Found) -> list[Bar]:
    moving = [each for trace in ("bursty", "ramp", "diurnal") for each in _of(found, "tidegate", _plain(trace))]
    steady = _of(found, "tidegate", lambda case: case.trace == "steady")
    away = _of(found, "tidegate", lambda case: case.outage is not None)
    worst = max(each.flips / max(1, each.load_changes) for each in moving)
    return [
        Bar("flips per load change, worst run", worst, 1, "flips"),
        Bar("flips in a day of one rate, CV 3", float(steady[0].flips) if steady else None, 0, "flips"),
        Bar("scale-downs in 5 min without Prometheus", float(away[0].shrunk), 0, "scale-downs"),
    ]


if __name__ == "__main__":
    sys.exit(main())
