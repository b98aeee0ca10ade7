"""The figures of a run as tables of the page: probes, classes, A/B, cost, cross-check; it computes none of them."""

from __future__ import annotations

import math

from loadtest.plan import Plan
from loadtest.report import units
from loadtest.report.markup import Child, Markup, element, table
from loadtest.report.words import target_name
from loadtest.results import Interval, ProbeResult, Result, Spread

_OUTCOMES = ("good", "slow_ttft", "slow_tpot", "slow_e2e", "error", "timeout", "shed", "cut")


def outcomes(result: Result) -> Markup:
    """One line a probe: what was offered and what became of it."""
    quantiles = sorted({quantile for probe in result.probes for quantile in probe.verdicts})
    there = _there([probe.outcomes for probe in result.probes])
    headers: list[Child] = ["probe", "target", "offered", "scheduled", "attainment", "95 % interval"]
    headers += [*map(_mark, there), "good/s", *(f"q {quantile}" for quantile in quantiles)]
    rows = [
        [
            *_which(result, probe),
            units.digits(probe.scheduled_rate),
            units.share(probe.attainment.value),
            units.share_span(probe.attainment),
            *(units.count(probe.outcomes.get(name, 0)) for name in there),
            units.digits(probe.good_rate),
            *(_verdict(probe, quantile) for quantile in quantiles),
        ]
        for probe in result.probes
    ]
    return table(headers, rows, "What became of the requests; rates in requests per second", 2)


def times(result: Result) -> Markup:
    """One line a probe: how long it took. Net is from the dispatch, as other load tests count."""
    headers: list[Child] = ["probe", "target", "offered", "TTFT p50", "p95", "p99", "net p50", "net p99", "TPOT p50"]
    headers += ["p99", "stall p99", "e2e p50", "e2e p99", "no TPOT", "send lag p99"]
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
        (probe.e2e, "p50 p99"),
    ]
    return [units.seconds(getattr(spread, name)) for spread, names in spreads for name in names.split()]


def _verdict(probe: ProbeResult, quantile: str) -> Markup:
    said = "withheld" if probe.client.reasons else probe.verdicts.get(quantile, units.ABSENT)
    why = ", ".join(probe.client.reasons) or probe.ended_early
    return element("span", said + ("*" if why else ""), class_=f"verdict {said}", title=why)


def remarks(result: Result) -> Markup:
    """What the stars in the table of probes stand for."""
    early = {probe.number: f"ended early: {probe.ended_early}" for probe in result.probes if probe.ended_early}
    starred = {probe.number: [*probe.client.reasons, early.get(probe.number, "")] for probe in result.probes}
    said = [f"* probe {number}: {'; '.join(filter(None, why))}" for number, why in starred.items() if any(why)]
    return element("ul", *(element("li", text) for text in said), class_="remarks") if said else Markup("")


def classes(result: Result) -> Markup:
    """One line per probe and class."""
    plan = Plan.model_validate(result.plan)
    there = _there([entry.outcomes for probe in result.probes for entry in probe.classes])
    headers: list[Child] = ["class", "target", "probe", "offered", "attainment", "95 % interval", *map(_mark, there)]
    rows = [
        [
            entry.slo,
            target_name(plan, probe.target),
            str(probe.number),
            units.digits(probe.offered_rate),
            units.share(entry.attainment.value),
            units.share_span(entry.attainment),
            *(units.count(entry.outcomes.get(name, 0)) for name in there),
        ]
        for probe in sorted(result.probes, key=lambda probe: (probe.target, probe.offered_rate))
        for entry in sorted(probe.classes, key=lambda entry: entry.slo)
    ]
    return table(headers, sorted(rows, key=lambda row: row[0]), "Traffic classes by offered rate", 2)


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
    return element("span", name.replace("_", " "), class_=f"mark {name}")
