"""The verdict in plain words: one statement per question that a reader asks; page and console share them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from loadtest.plan import Plan
from loadtest.report import units
from loadtest.results import Check, Floor, Goodput, Interval, ProbeResult, Result
from loadtest.slo import Slo
from loadtest.verdict.attainment import wilson

# Checks that hold of what a statement further down tells more of.
_SAID_ANYWAY = ("verdict", "cross-check")

Tone = Literal["good", "bad", "warn", "plain"]


@dataclass(frozen=True)
class Statement:
    """One answer. `tone` says how to take it, not what was measured."""

    about: str
    tone: Tone
    text: str


def statements(result: Result) -> list[Statement]:
    """In the order in which they matter; the goodputs come before them and have a form of their own."""
    plan = Plan.model_validate(result.plan)
    return [
        *(_asked(check) for check in result.checks if not (check.holds and check.name.startswith(_SAID_ANYWAY))),
        *(Statement("SLO", "plain", limits(slo)) for slo in dict.fromkeys(plan.slos())),
        *(_floor(plan, floor) for floor in result.floors),
        _crosscheck(result),
        _client(result),
    ]


def goodput_words(entry: Goodput) -> str:
    """How the figure came to be, or why there is none."""
    if entry.withheld:
        return f"no verdict: {entry.withheld}"
    probes = units.several(entry.probes, "probe")
    if entry.passed_rate == 0:
        below = "" if entry.failed_rate is None else f", not even {units.rate(entry.failed_rate)}"
        return f"no probe passed{below}; {probes}"
    if entry.failed_rate is None:
        return f"a lower bound: no probe failed, up to {units.rate(entry.passed_rate)}; {probes}"
    return f"passed at {units.digits(entry.passed_rate)}, failed at {units.rate(entry.failed_rate)}; {probes}"


def figure(entry: Goodput) -> str:
    """The goodput alone; a bound says that it is one."""
    if entry.withheld:
        return "withheld"
    if entry.passed_rate == 0 and entry.failed_rate is not None:
        return f"< {units.digits(entry.failed_rate)}"
    return ("\N{GREATER-THAN OR EQUAL TO} " if entry.failed_rate is None else "") + units.digits(entry.rate.value)


def limits(slo: Slo) -> str:
    """chat: TTFT ≤ 500 ms, TPOT ≤ 50 ms."""
    named = (("TTFT", slo.ttft_seconds), ("TPOT", slo.tpot_seconds), ("end to end", slo.e2e_seconds))
    said = [f"{name} \N{LESS-THAN OR EQUAL TO} {units.seconds(limit)}" for name, limit in named if limit is not None]
    return f"{slo.name}: {', '.join(said) or 'no limit; a whole answer is a good one'}"


def target_name(plan: Plan, target: int) -> str:
    """As the plan calls it."""
    return plan.targets[target].name if target < len(plan.targets) else f"target {target}"


def at_quantile(result: Result, quantile: float) -> list[Goodput]:
    """The goodputs at this quantile, one for each target."""
    return [entry for entry in result.goodputs if abs(entry.quantile - quantile) < 1e-9]


def by_rate(result: Result) -> list[tuple[ProbeResult, Interval, int]]:
    """Probes of one target and one rate taken together: the first of them, their attainment, how many they are."""
    found: dict[tuple[int, float], list[ProbeResult]] = {}
    for probe in result.probes:
        found.setdefault((probe.target, probe.offered_rate), []).append(probe)
    return [(probes[0], _pooled(probes), len(probes)) for _, probes in sorted(found.items())]


def _pooled(probes: Sequence[ProbeResult]) -> Interval:
    counted = sum(sum(probe.outcomes.values()) - probe.outcomes.get("cut", 0) for probe in probes)
    return wilson(sum(probe.outcomes.get("good", 0) for probe in probes), counted)


def withheld_probes(result: Result) -> list[ProbeResult]:
    """Those at which the client was the limit."""
    return [probe for probe in result.probes if probe.client.reasons]


def _asked(check: Check) -> Statement:
    return Statement("Gate", "good" if check.holds else "bad", f"{check.name}: {check.message}")


def _floor(plan: Plan, floor: Floor) -> Statement:
    shares = [f"{units.share(share)} of {name}" for name, share in floor.infeasible_share.items() if share > 0]
    per_thousand = units.seconds(floor.per_token_seconds * 1000)
    idle = f"idle TTFT is {units.seconds(floor.base_seconds)} + {per_thousand} per 1,000 prompt tokens"
    who = f" ({target_name(plan, floor.target)})" if len(plan.targets) > 1 else ""
    if not shares:
        return Statement("Feasibility", "good", f"Every request can pass on an idle server{who}; {idle}.")
    worst = max(floor.infeasible_share.values())
    tone: Tone = "bad" if worst > 0.05 else "warn"
    return Statement("Feasibility", tone, f"{', '.join(shares)} can never pass, even on an idle server{who}; {idle}.")


def _crosscheck(result: Result) -> Statement:
    check = result.crosscheck
    if not check.checked:
        return Statement("Cross-check", "warn", f"Not made: {check.note or 'no server could be scraped'}.")
    wrong = [entry for entry in check.entries if not entry.holds]
    if not wrong:
        return Statement(
            "Cross-check", "good", f"The servers counted what the client did, in {len(check.entries)} comparisons."
        )
    said = "; ".join(f"{e.what}: client {e.client:g}, server {e.server:g}" for e in wrong)
    return Statement("Cross-check", "bad", f"Client and servers disagree. {said}.")


def _client(result: Result) -> Statement:
    if not result.probes:
        return Statement("Client", "warn", "No probe was run.")
    limited = withheld_probes(result)
    lag = max(probe.client.send_lag_p99_seconds for probe in result.probes)
    busy = max(probe.client.cpu_share for probe in result.probes)
    dropped = sum(probe.client.dropped for probe in result.probes)
    late = sum(probe.client.late for probe in result.probes)
    most = f"send lag p99 at most {units.seconds(lag)}, CPU at most {units.share(busy)} of a core"
    facts = f"{most}, {late} late, {dropped} dropped"
    if not limited:
        return Statement("Client", "good", f"It kept up: {facts}.")
    return Statement("Client", "bad", f"{limit_words(limited, len(result.probes))} ({facts}).")


def limit_words(limited: Sequence[ProbeResult], of: int) -> str:
    """Where the client was the limit, and its first reason: the others say the same with other figures."""
    where = "all probes" if of == len(limited) else f"{len(limited)} of {units.several(of, 'probe')}"
    return f"The client was the limit in {where}: {limited[0].client.reasons[0].rstrip('.')}"


def remarks(said: Iterable[tuple[int, list[str]]]) -> list[str]:
    """What is said of the probes by number; those of whom the same is said share a line."""
    numbers: dict[str, list[int]] = {}
    for number, texts in said:
        for text in texts:
            numbers.setdefault(text, []).append(number)
    return [f"probe{'s' * (len(of) > 1)} {_ranges(of)}: {text}" for text, of in numbers.items()]


def _ranges(numbers: list[int]) -> str:
    """1, 4 to 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
