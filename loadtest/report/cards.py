"""What stands first on the page: the goodput in large figures, and the answers to what a reader asks of it."""

from __future__ import annotations

from loadtest.plan import Plan
from loadtest.report import units
from loadtest.report.markup import Child, Markup, element, joined
from loadtest.report.words import (
    Statement,
    by_rate,
    figure,
    goodput_words,
    statements,
    target_name,
    withheld_probes,
)
from loadtest.results import Goodput, Interval, ProbeResult, Result

_SIGNS = {"good": "\N{CHECK MARK}", "bad": "\N{MULTIPLICATION X}", "warn": "!", "plain": "\N{MIDDLE DOT}"}


def verdict(result: Result) -> Markup:
    """A card per target, then the statements."""
    plan = Plan.model_validate(result.plan)
    targets = dict.fromkeys(entry.target for entry in result.goodputs)
    cards = [_card(plan, result, target) for target in targets] or _attained(plan, result)
    said = element("ul", *(_said(entry) for entry in statements(result)), class_="statements")
    return joined([element("div", *cards, class_="cards"), said])


def _said(entry: Statement) -> Markup:
    sign = element("span", _SIGNS[entry.tone], class_="sign", aria_hidden="true")
    return element("li", sign, element("b", entry.about), element("span", entry.text), class_=entry.tone)


def _card(plan: Plan, result: Result, target: int) -> Markup:
    own = [entry for entry in result.goodputs if entry.target == target]
    main = min(own, key=lambda entry: abs(entry.quantile - plan.gate.quantile))
    others = [element("li", *_other(entry, main)) for entry in own if entry is not main]
    about = f"Goodput of {target_name(plan, target)}: {units.quantile(main.quantile)} of requests within the SLO"
    return element(
        "div",
        element("div", element("p", about, class_="what"), *_main(main)),
        element("ul", *others, class_="others"),
        class_=f"card t{target}{' withheld' * bool(main.withheld)}",
    )


def _main(entry: Goodput) -> list[Child]:
    if entry.withheld:
        return [element("p", "No verdict", class_="figure"), element("p", entry.withheld, class_="why")]
    number = element("p", figure(entry), element("small", " requests/s"), class_="figure")
    interval = f"95 % interval {units.span(entry.rate)}; {goodput_words(entry)}"
    return [number, element("p", interval, class_="why")]


def _other(entry: Goodput, main: Goodput) -> list[Child]:
    at = element("span", units.quantile(entry.quantile))
    if entry.withheld:
        why = "" if entry.withheld == main.withheld else f": {entry.withheld}"
        return [at, element("span", f"withheld{why}", class_="why")]
    return [at, element("b", figure(entry)), element("span", f"{units.span(entry.rate)} req/s", class_="why")]


def _attained(plan: Plan, result: Result) -> list[Markup]:
    """What stands first where no goodput was searched for: each target's attainment at its highest rate."""
    highest = {probe.target: (probe, held) for probe, held, _ in by_rate(result)}
    if not highest:
        return [element("div", element("p", "No probe was run", class_="figure"), class_="card withheld")]
    return [_attainment(plan, result, probe, held) for probe, held in highest.values()]


def _attainment(plan: Plan, result: Result, probe: ProbeResult, held: Interval) -> Markup:
    limited = [other for other in withheld_probes(result) if other.target == probe.target]
    about = f"Attainment of {target_name(plan, probe.target)} at {units.rate(probe.offered_rate)}"
    number = "No verdict" if limited else units.share(held.value)
    why = limited[0].client.reasons[0] if limited else f"95 % interval {units.share_span(held)}"
    said = [element("p", about, class_="what"), element("p", number, class_="figure"), element("p", why, class_="why")]
    return element("div", element("div", *said), class_=f"card t{probe.target}{' withheld' * bool(limited)}")
