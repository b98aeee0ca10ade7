"""How near the simulator comes to a real vLLM on the CPU: knee, TTFT, TPOT, the order of rates; see README.md."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoscale.engine_profile import EngineProfile
from autoscale.simulate import traffic
from autoscale.simulate.fleet import Floats, Results
from autoscale.simulate.kernel import Kernel
from autoscale.simulate.knee import SECONDS, bisected
from autoscale.simulate.score import good
from bench import command, load_run, report
from bench import scale_fidelity_real as real
from bench.load_run import Found
from bench.neighbours import Neighbours
from bench.processes import BenchError
from bench.report import Bar
from bench.scale_fidelity_real import SLO, WORKLOAD, Probe

_METHOD = """\
Plain vLLM on the CPU, tiny random Llama (bfloat16, 4 layers of 256), OMP_NUM_THREADS=1, {seqs} sequences,
{budget} tokens a step; profiled, then loaded by `tidegate bench` on the same cores. Poisson arrivals, lognormal
lengths: prompts of {prompt:g} tokens (median), outputs of {output:g}. SLO: TTFT {ttft:g} s, TPOT {tpot:g} s.
The simulator is given the same arrivals, and the lengths that vLLM told.
"""
_QUANTILE = 0.95
_SHARES = (0.5, 0.8, 1.0)
# Where goodput falls again: the order of rates is to be right there too.
_BEYOND = (1.25, 1.5)
_FOLLOWED_SECONDS = 120.0
_TTFT_P90, _TPOT_P50 = 2, 3


@dataclass(frozen=True)
class Length:
    """Seconds of a probe, how many the search may take, and seconds at each share of the knee."""

    probe_seconds: float
    probes: int
    share_seconds: float


FULL, QUICK = Length(15.0, 8, 20.0), Length(8.0, 5, 10.0)


@dataclass(frozen=True)
class Pair:
    """A figure of one probe, real and simulated: attainment, TTFT p50 and p90, TPOT p50. Seconds."""

    offered_rate: float
    real: tuple[float, float, float, float]
    simulated: tuple[float, float, float, float]

    def ratio(self, place: int) -> float:
        """Simulated over real."""
        return self.simulated[place] / self.real[place]


def main() -> int:
    """1 when `--strict` is given and a bar is missed."""
    chosen = command.options("bench.scale_fidelity", __doc__)
    length = QUICK if chosen.quick else FULL
    try:
        with real.engine() as side:
            neighbours = Neighbours([side.child])
            profile = real.profile(side)
            search = real.knee(side, length.probe_seconds, length.probes)
            knee = _knee(search)
            curve = real.curve(side, [share * knee for share in _SHARES + _BEYOND], length.share_seconds)
            version, notes = side.version, [neighbours.verdict()]
    except BenchError as error:
        print(f"!!! {error}", file=sys.stderr)
        return 1 if chosen.strict else 0
    searched = [_pair(profile, probe) for probe in real.answered(search, "goodput")]
    shares = [_pair(profile, probe) for probe in real.answered(curve, "curve")]
    simulated = simulated_knee(profile)
    heading = report.heading(f"vLLM {version}", _method(), [*notes, _fit(profile)])
    tables = f"{_knees(search, simulated)}\n\n{_probes([*shares, *searched])}"
    bars = _bars(simulated, knee, [*shares, *searched])
    return command.conclude("Simulator fidelity", heading, tables, bars, chosen)


def simulated_knee(profile: EngineProfile) -> float:
    """Requests per second, as the law's parameters are found."""
    return bisected(
        "this workload",
        lambda rate: traffic.drawn(WORKLOAD, rate, SECONDS, 1),
        lambda requests: Kernel(profile, requests, SLO),
        SLO,
        _QUANTILE,
    )


def _knee(search: Found) -> float:
    found = search.goodput(_QUANTILE)
    if found["withheld"] or not found["rate"]["value"]:
        raise BenchError(f"the engine's knee was not found: {found['withheld'] or 'no rate passed'}")
    return float(found["rate"]["value"])


def _pair(profile: EngineProfile, probe: Probe) -> Pair:
    fleet = Kernel(profile, probe.requests, SLO)
    fleet.add(1)
    fleet.advance(float(probe.requests.at_seconds[-1]) + _FOLLOWED_SECONDS)
    found, judged = fleet.results(), probe.judged
    truth = Results(probe.ttft_seconds, probe.tpot_seconds, np.zeros(len(judged), bool))
    return Pair(
        probe.offered_rate,
        (probe.attainment, *_quantiles(truth, judged)),
        (float(good(found, SLO)[judged].mean()), *_quantiles(found, judged)),
    )


def _quantiles(of: Results, judged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[float, float, float]:
    ttft, tpot = of.ttft_seconds[judged], of.tpot_seconds[judged]
    return _quantile(ttft, 0.5), _quantile(ttft, 0.9), _quantile(tpot, 0.5)


def _quantile(values: Floats, share: float) -> float:
    return float(np.nanquantile(values, share))


def _ranks(pairs: Sequence[Pair]) -> float | None:
    """Spearman's correlation of real and simulated goodput; None where one of them is always the same."""
    rates = np.array([pair.offered_rate for pair in pairs])
    real_ranks = _ranked(rates * [pair.real[0] for pair in pairs])
    simulated_ranks = _ranked(rates * [pair.simulated[0] for pair in pairs])
    if len(pairs) < 3 or not (np.ptp(real_ranks) and np.ptp(simulated_ranks)):
        return None
    return float(np.corrcoef(real_ranks, simulated_ranks)[0, 1])


def _ranked(values: Floats) -> Floats:
    """Equal values share their mean rank."""
    return np.array([(values < value).sum() + (values == value).sum() / 2 for value in values])


def _knees(search: Found, simulated: float) -> str:
    truth = search.goodput(_QUANTILE)
    row = [load_run.rate(truth), f"{simulated:.3g}", f"{simulated / truth['rate']['value']:.2f} x"]
    return report.table([f"knee at {_QUANTILE:g}, requests/s: real [95 %]", "simulated", "ratio"], [row])


def _probes(pairs: Sequence[Pair]) -> str:
    headers = ["offered req/s", "attainment", "TTFT p50 ms", "TTFT p90 ms", "TPOT p50 ms"]
    return report.table([headers[0], *(f"{name}: real / simulated" for name in headers[1:])], [_row(p) for p in pairs])


def _row(of: Pair) -> list[str]:
    times = [f"{1e3 * a:.1f} / {1e3 * b:.1f}" for a, b in zip(of.real[1:], of.simulated[1:], strict=True)]
    return [f"{of.offered_rate:.3g}", f"{of.real[0]:.1%} / {of.simulated[0]:.1%}", *times]


def _bars(simulated: float, knee: float, pairs: Sequence[Pair]) -> list[Bar]:
    def off(share: float, place: int) -> float | None:
        """Of the probe at this share; None where the client spoilt it."""
        found = [pair for pair in pairs if math.isclose(pair.offered_rate, share * knee, rel_tol=0.01)]
        return abs(found[0].ratio(place) - 1) if found else None

    return [
        Bar("knee: simulated is off the real one by", abs(simulated / knee - 1), 0.15, ""),
        *(Bar(f"TTFT p90 at {share:.0%} of the knee: off by", off(share, _TTFT_P90), 0.3, "") for share in _SHARES),
        *(Bar(f"TPOT p50 at {share:.0%} of the knee: off by", off(share, _TPOT_P50), 0.1, "") for share in _SHARES),
        Bar("rank correlation of good requests/s over all probes", _ranks(pairs), 0.9, "", at_least=True),
    ]


def _fit(profile: EngineProfile) -> str:
    found = ", ".join(f"{name.replace('_', ' ')} {off:.1%}" for name, off in profile.residuals.items())
    return f"Mean error of the profile's fit: {found}."


def _method() -> str:
    kind = WORKLOAD.classes[0]
    return _METHOD.format(
        seqs=real.MAX_NUM_SEQS,
        budget=real.MAX_BATCHED_TOKENS,
        prompt=kind.input.median,
        output=kind.output.median,
        ttft=SLO.ttft_seconds,
        tpot=SLO.tpot_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
