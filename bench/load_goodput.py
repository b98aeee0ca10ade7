"""Goodput of front + cell beside plain vLLM in one run, and what the front makes of twice its knee; see README.md."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bench import command, engine_sides, load_run, report
from bench.engine_sides import BOTH, PLAIN
from bench.load_run import Found, Load, Tree
from bench.neighbours import Neighbours
from bench.processes import BenchError
from bench.report import Bar
from bench.sides import KEY, Side

_METHOD = """\
Tiny random Llama (bfloat16, 4 layers of 256), --max-model-len {length}, OMP_NUM_THREADS=1; both up at the same time.
Preset `chat` cut to that context, Poisson arrivals, TTFT from the scheduled arrival; probes of {seconds:g} s.
No pinning: engines, front and load test share all cores.
"""
_QUANTILES = (0.90, 0.95, 0.99)
_PRIMARY = 0.95
_SHARES = (0.5, 0.8, 1.0, 1.25, 1.5, 2.0)
_SEARCH = ("--set", "search.max_probes=9", "--set", "search.max_probe_seconds=40")
_PAIRED_PROBES = 12
_CURVE_HEADERS = (
    *("offered req/s", "of the knee", "attainment [95 %]", "good req/s"),
    *("TTFT p50 / p99 ms", "TPOT p99 ms", "sheds", "errors", "time-outs"),
)


@dataclass(frozen=True)
class Length:
    """Seconds of one probe, and which shares of the knee the curve has."""

    probe_seconds: float
    shares: tuple[float, ...]


FULL, QUICK = Length(20.0, _SHARES), Length(10.0, (0.5, 1.0, 2.0))


def main() -> int:
    """Run the benchmark; 1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.load_goodput", __doc__)
    length = QUICK if chosen.quick else FULL
    try:
        with engine_sides.all_up() as (up, _, missing):
            sides = {side.name: side for side in up}
            if not {PLAIN, BOTH} <= set(sides):
                raise BenchError("; ".join(missing))
            neighbours = Neighbours(side.child for side in up)
            paired = _paired(sides[PLAIN], sides[BOTH], length)
            knee = _knee(paired)
            curve = _curve(sides[BOTH], knee, length)
            heading = _heading(sides, length, [neighbours.verdict(), *missing])
    except BenchError as error:
        print(f"!!! {error}", file=sys.stderr)
        return 1 if chosen.strict else 0
    tables = "\n\n".join([_goodputs(paired), _ratios(paired), _overload(curve, knee)])
    return command.conclude("Goodput", heading, tables, _bars(paired, curve), chosen)


def _paired(plain: Side, front: Side, length: Length) -> Found:
    options = [
        *("--against", f"http://127.0.0.1:{front.port}/v1", "--against-api-key", KEY),
        *("--engine-url", f"http://127.0.0.1:{plain.port}", "--seconds", f"{length.probe_seconds:g}"),
        *("--set", f"targets.1.front_admin_url={_admin_url(front)}"),
        *_SEARCH,
    ]
    return load_run.run(Load("ab", "ab", f"http://127.0.0.1:{plain.port}/v1", options, core=None))


def _curve(front: Side, knee: float, length: Length) -> Found:
    rates = ",".join(f"{knee * share:.3g}" for share in length.shares)
    options = [
        *("--api-key", KEY, "--admin-url", _admin_url(front)),
        *("--rates", rates, "--seconds", f"{length.probe_seconds:g}"),
        *_SEARCH,
    ]
    return load_run.run(Load("curve", "curve", f"http://127.0.0.1:{front.port}/v1", options, core=None))


def _knee(paired: Found) -> float:
    goodput = paired.goodput(_PRIMARY, target=1)
    if goodput["withheld"] or not goodput["rate"]["value"]:
        raise BenchError(f"front + cell has no goodput to draw a curve around: {goodput['withheld'] or 'none passed'}")
    return float(goodput["rate"]["value"])


def _goodputs(paired: Found) -> str:
    rows = [
        [name, *(load_run.rate(paired.goodput(quantile, target)) for quantile in _QUANTILES)]
        for target, name in enumerate((PLAIN, BOTH))
    ]
    return report.table(["goodput, requests/s [95 %]", *(f"q = {quantile:.2f}" for quantile in _QUANTILES)], rows)


def _ratios(paired: Found) -> str:
    found = paired.result["paired"]
    if found is None:
        return "Nothing was paired: one of the two has no goodput."
    rows = [
        ["TTFT p50", load_run.interval(found["ttft_p50_ratio"]) + " x"],
        ["TTFT p99", load_run.interval(found["ttft_p99_ratio"]) + " x"],
        ["TPOT p50", load_run.interval(found["tpot_p50_ratio"]) + " x"],
        ["attainment", load_run.interval(found["attainment_difference"], sign="+")],
    ]
    head = f"front + cell against plain vLLM, {found['pairs']} paired requests at {found['rate']:.3g} requests/s"
    return report.table([head, "[95 %]"], rows)


def _overload(curve: Found, knee: float) -> str:
    return report.table(_CURVE_HEADERS, [_overload_row(probe, knee) for probe in curve.probes])


def _overload_row(probe: Tree, knee: float) -> list[str]:
    attainment, outcomes = probe["attainment"], probe["outcomes"]
    return [
        f"{probe['offered_rate']:.3g}",
        f"{probe['offered_rate'] / knee:.2f} x",
        "-" if attainment["value"] is None else "{value:.1%} [{low:.1%}, {high:.1%}]".format(**attainment),
        f"{probe['good_rate']:.3g}",
        f"{_ms(probe['ttft']['p50'])} / {_ms(probe['ttft']['p99'])}",
        _ms(probe["tpot"]["p99"]),
        *(str(outcomes.get(name, 0)) for name in ("shed", "error", "timeout")),
    ]


def _bars(paired: Found, curve: Found) -> list[Bar]:
    found = paired.result["paired"] or {}
    plain, front = (paired.goodput(_PRIMARY, target)["rate"]["value"] for target in (0, 1))
    blocks = paired.probes[-_PAIRED_PROBES:] if found else []
    tails = [report.ratio(probe["ttft"]["p95"], probe["ttft"]["p50"]) for probe in blocks if probe["target"] == 1]
    return [
        Bar("goodput at 0.95: front + cell / plain vLLM", report.ratio(front, plain), 0.95, at_least=True),
        Bar("TTFT p50, paired: front + cell / plain vLLM", _value(found, "ttft_p50_ratio"), 1.05),
        Bar("TTFT p99, paired: front + cell / plain vLLM", _value(found, "ttft_p99_ratio"), 1.10),
        Bar("TTFT p95 / p50 of front + cell at 80 % of the knee", _median(tails), 2.0),
        Bar("figures of front and engines unlike the client's", load_run.differing(paired, curve), 0, "figures"),
    ]


def _value(tree: Tree, name: str) -> float | None:
    return float(tree[name]["value"]) if name in tree else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f}"


def _admin_url(front: Side) -> str:
    command = cast(tuple[str, ...], front.child.process.args)
    return f"http://127.0.0.1:{command[command.index('--admin-port') + 1]}"


def _heading(sides: dict[str, Side], length: Length, notes: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {sides[name].version}" for name in (PLAIN, BOTH))
    method = _METHOD.format(length=engine_sides.MAX_MODEL_LEN, seconds=length.probe_seconds)
    return report.heading(versions, method, notes)


if __name__ == "__main__":
    sys.exit(main())
