"""The figures of a run as tables of the page: probes, classes, A/B, cost, cross-check; it computes none of them."""

from __future__ import annotations

import math

from loadtest.plan import Plan
from loadtest.report import units, words
from loadtest.report.markup import Child, Markup, element, joined, table
from loadtest.report.words import target_name
from loadtest.results import Interval, ProbeResult, Result, Spread

_FEW = 6
_SAID = {"slow_ttft": "slow TTFT", "slow_tpot": "slow TPOT", "slow_e2e": "slow e2e", "timeout": "time-out"}
_OUTCOMES = ("good", "slow_ttft", "slow_tpot", "slow_e2e", "error", "timeout", "shed", "cut")


def outcomes(result: Result) -> Markup:
    """One line a probe: what was offered and what became of it."""
    quantiles = sorted({quantile for probe in result.probes for quantile in probe.verdicts})
    there = _there([probe.outcomes for probe in result.probes])
    headers: list[Child] = ["probe", "target", "offered", "scheduled", "attainment", "95 % interval"]
    headers += [*(f"q\N{NO-BREAK SPACE}{quantile}" for quantile in quantiles), "good/s", *map(_mark, there)]
    rows = [
        [
            *_which(result, probe),
            units.digits(probe.scheduled_rate),
            units.share(probe.attainment.value),
            units.share_span(probe.attainment),
            *(_verdict(probe, quantile) for quantile in quantiles),
            units.digits(probe.good_rate),
            *(units.count(probe.outcomes.get(name, 0)) for name in there),
        ]
        for probe in result.probes
    ]
    return table(headers, rows, "What became of the requests; rates in requests per second", 2)


def times(result: Result) -> Markup:
    """One line a probe: how long it took. Net is from the dispatch, as other load tests count."""
    headers: list[Child] = ["probe", "target", "offered", "TTFT p50", "p95", "p99", "net p50", "net p99", "TPOT p50"]
    headers += ["p99", "stall p99", "e2e p99", "no TPOT", "send lag p99"]
    rows = [
        [
            *_which(result, probe),
            *_times(probe),
            units.count(probe.undefined_tpot),
            units.seconds(probe.client.send_lag_p99_seconds),
        ]
        for probe in result.probes
    ]
    caption = "How long they took. TTFT counts from the scheduled arrival, net TTFT from the dispatch"
    return table(headers, rows, caption, 2)


def _which(result: Result, probe: ProbeResult) -> list[Child]:
    name = target_name(Plan.model_validate(result.plan), probe.target)
    return [str(probe.number), name, units.digits(probe.offered_rate)]


def _times(probe: ProbeResult) -> list[str]:
    spreads: list[tuple[Spread, str]] = [
        (probe.ttft, "p50 p95 p99"),
        (probe.ttft_net, "p50 p99"),
        (probe.tpot, "p50 p99"),
        (probe.stall, "p99"),
        (probe.e2e, "p99"),
    ]
    return [units.seconds(getattr(spread, name)) for spread, names in spreads for name in names.split()]


def _verdict(probe: ProbeResult, quantile: str) -> Markup:
    said = "withheld" if probe.client.reasons else probe.verdicts.get(quantile, units.ABSENT)
    why = "; ".join(_why(probe))
    return element("span", said + ("*" if why else ""), class_=f"verdict {said}", title=why)


def _why(probe: ProbeResult) -> list[str]:
    return [*probe.client.reasons, *([f"ended early: {probe.ended_early}"] if probe.ended_early else [])]


def remarks(result: Result) -> Markup:
    """What the stars in the table of probes stand for."""
    said = words.remarks((probe.number, _why(probe)) for probe in result.probes)
    lines = element("ul", *(element("li", f"* {text}") for text in said), class_="remarks")
    if len(said) <= _FEW:
        return lines if said else Markup("")
    return element("details", element("summary", f"* What is to be said of {len(said)} probes"), lines)


def classes(result: Result) -> Markup:
    """Attainment by class, a line per rate; the counts are a click away. One class alone has the table of probes."""
    probes = sorted(result.probes, key=lambda probe: (probe.target, probe.offered_rate))
    names = list(dict.fromkeys(entry.slo for probe in probes for entry in probe.classes))
    if len(names) < 2:
        return element("p", f"One class ({', '.join(names) or 'none'}): the table above is its table.", class_="empty")
    rows = [[*_which(result, probe), *_by_class(probe, names)] for probe in probes]
    attained = table(
        ["probe", "target", "offered", *names], rows, "Attainment with its 95 % interval, by offered rate", 2
    )
    return joined(
        [attained, element("details", element("summary", "Outcomes by class"), _class_counts(result, probes))]
    )


def _by_class(probe: ProbeResult, names: list[str]) -> list[Child]:
    """Classes of one name (own limits) stand in one cell."""
    held = [[entry.attainment for entry in probe.classes if entry.slo == name] for name in names]
    return [", ".join(f"{units.share(one.value)} ({units.share_span(one)})" for one in cell) for cell in held]


def _class_counts(result: Result, probes: list[ProbeResult]) -> Markup:
    there = _there([entry.outcomes for probe in probes for entry in probe.classes])
    rows = [
        [entry.slo, *_which(result, probe)[1:], *(units.count(entry.outcomes.get(name, 0)) for name in there)]
        for probe in probes
        for entry in probe.classes
    ]
    headers: list[Child] = ["class", "target", "offered", *map(_mark, there)]
    return table(headers, sorted(rows, key=lambda row: str(row[0])), "Requests by outcome", 2)


def paired(result: Result) -> Markup:
    """B over A, or B less A; the interval tells whether there is a difference at all."""
    pair = result.paired
    if pair is None:
        return Markup("")
    plan = Plan.model_validate(result.plan)
    a, b = target_name(plan, 0), target_name(plan, 1)
    entries = [
        ("TTFT p50", pair.ttft_p50_ratio, 1.0, False),
        ("TTFT p99", pair.ttft_p99_ratio, 1.0, False),
        ("TPOT p50", pair.tpot_p50_ratio, 1.0, False),
        ("attainment, difference", pair.attainment_difference, 0.0, True),
        *([("goodput", pair.goodput_ratio, 1.0, True)] if pair.goodput_ratio else []),
    ]
    rows = [
        [name, *_compared(interval, neutral, more_is_better, b)] for name, interval, neutral, more_is_better in entries
    ]
    caption = (
        f"{b} over {a} at {units.rate(pair.rate)}, {units.count(pair.pairs)} pairs, same seeded schedule, interleaved"
    )
    return table(["measure", "B over A", "95 % interval", "reading"], rows, caption)


def _compared(interval: Interval, neutral: float, more_is_better: bool, b: str) -> list[str]:
    if neutral == 0:
        value, low, high = (f"{end * 100:+.2f} points" for end in (interval.value, interval.low, interval.high))
    else:
        value, low, high = (units.ratio(end) for end in (interval.value, interval.low, interval.high))
    if not math.isfinite(interval.low) or interval.low <= neutral <= interval.high:
        reading = "no difference seen"
    else:
        reading = f"{b} is {'better' if (interval.value > neutral) == more_is_better else 'worse'}"
    return [value, f"{low} to {high}", reading]


def cost(result: Result) -> Markup:
    """GPU time and what it gave."""
    if result.cost is None:
        return element("p", "No replica series, so no cost: the servers were not scraped.", class_="empty")
    rows = [
        ["replica time", units.seconds(result.cost.replica_seconds)],
        ["GPU-hours", units.digits(result.cost.gpu_hours)],
        ["good requests per GPU-second", units.digits(result.cost.good_per_gpu_second)],
    ]
    rows += [
        [f"goodput per GPU, q {entry.quantile:g}", units.rate(entry.per_gpu)]
        for entry in result.goodputs
        if entry.per_gpu is not None and not entry.withheld
    ]
    return table(["what", "how much"], rows, "Replica time over the whole run, and what it gave")


def crosscheck(result: Result) -> Markup:
    """Every comparison of what client and servers counted."""
    rows = [
        [entry.what, f"{entry.client:,.6g}", f"{entry.server:,.6g}", "holds" if entry.holds else "MISMATCH", entry.note]
        for entry in result.crosscheck.entries
    ]
    return (
        table(["what", "client", "server", "verdict", "note"], rows, "What the client and the servers counted")
        if rows
        else Markup("")
    )


def _there(counted: list[dict[str, int]]) -> list[str]:
    return [name for name in _OUTCOMES if name == "good" or any(counts.get(name) for counts in counted)]


def _mark(name: str) -> Markup:
    return element("span", _SAID.get(name, name), class_=f"mark {name}")
