"""The search on servers whose attainment is a plain function of the rate, with noise and limits where named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.plan import SearchPlan
from loadtest.results import Goodput, ProbeResult
from loadtest.slo import Outcome
from loadtest.verdict.attainment import verdict, wilson
from loadtest.verdict.goodput import Blocks, estimate
from loadtest.verdict.probe_result import Offered, judge
from loadtest.verdict.search import Search
from tests.unit.verdict_world import CHAT, QUANTILES, WELL, answered

BUSY = replace(WELL, reasons=("The client's event loop stalled.",))
FULL = replace(WELL, dropped=3, reasons=("3 arrivals were never sent.",))


def probe(rate: float, share: float, number: int = 0, count: int = 10_000, missed: str = "slow_ttft") -> ProbeResult:
    """`count` requests of which `share` are good; half of them have their first token at 0.2 s."""
    empty = judge(answered(0), Offered(number, 0, rate, 0.0, 30.0), [CHAT], QUANTILES, WELL)
    good = round(share * count)
    outcomes = {outcome.name.lower(): 0 for outcome in Outcome} | {"good": good, missed: count - good}
    attainment = wilson(good, count)
    return replace(
        empty,
        outcomes=outcomes,
        attainment=attainment,
        ttft=replace(empty.ttft, p50=0.2),
        verdicts={f"{quantile:g}": verdict(attainment, quantile) for quantile in QUANTILES},
    )


def knee(at: float) -> Callable[[float, int], ProbeResult]:
    """Attainment falls from 1 to 0.9 between 0.8 and 1.0 of `at`, and on at that slope."""

    def serve(rate: float, number: int) -> ProbeResult:
        made = probe(rate, min(1.0, max(0.0, 1.0 - 0.5 * (rate / at - 0.8))), number)
        return replace(made, ttft=replace(made.ttft, p50=max(0.2, rate / at - 0.8)))

    return serve


def run(
    serve: Callable[[float, int], ProbeResult], start: float = 1.0, plan: SearchPlan | None = None
) -> list[ProbeResult]:
    search, probes = Search(plan or SearchPlan(), start), list[ProbeResult]()
    while (rate := search.next_rate()) is not None:
        probes.append(serve(rate, len(probes)))
        search.add(probes[-1])
        assert search.explain()
    return probes


def found(probes: list[ProbeResult], quantile: float = 0.95) -> Goodput:
    share = {each.number: each.outcomes["good"] / sum(each.outcomes.values()) for each in probes}
    blocks = {number: Blocks(np.full(8, good * 1250.0), np.full(8, 1250.0)) for number, good in share.items()}
    return estimate(probes, blocks, quantile, 0)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 80.0), st.floats(0.5, 20.0))
def test_every_quantile_is_found_within_the_tolerance(at: float, start: float) -> None:
    probes = run(knee(at), start)
    assert len(probes) <= 15
    for quantile, share in ((0.9, 1.0), (0.95, 0.9), (0.99, 0.82)):
        goodput = found(probes, quantile)
        assert goodput.rate.value == pytest.approx(share * at, rel=0.1)
        assert goodput.rate.low <= share * at <= goodput.rate.high


def test_the_primary_quantile_is_bracketed_first() -> None:
    assert [each.offered_rate for each in run(knee(10.0), 4.0)][:3] == [4.0, 8.0, 16.0]


def test_it_goes_down_where_the_first_rate_fails() -> None:
    assert [each.offered_rate for each in run(knee(1.2), 4.0)][:3] == [4.0, 2.0, 1.0]


def test_an_undecided_rate_is_offered_once_more_and_then_its_share_decides() -> None:
    rates = [
        each.offered_rate
        for each in run(lambda rate, number: probe(rate, 0.955 if rate < 5 else 0.5, number, 100), 4.0)
    ]
    assert rates[:3] == [4.0, 4.0, 8.0]
    assert rates.count(4.0) == 2


def test_pooled_probes_decide_what_one_could_not() -> None:
    search = Search(SearchPlan(quantiles=(0.95,)), 4.0)
    search.add(probe(4.0, 0.965, 0, 300))
    assert search.next_rate() == 4.0
    assert "once more" in search.explain()
    search.add(probe(4.0, 0.93, 1, 3000))
    assert search.next_rate() == 2.0


def test_a_pass_above_a_fail_does_not_trap_the_search() -> None:
    def noisy(rate: float, number: int) -> ProbeResult:
        return probe(rate, 0.93, number, 400) if number == 1 else knee(40.0)(rate, number)

    goodput = found(run(noisy, 4.0))
    assert goodput.rate.value == pytest.approx(36.0, rel=0.1)


def test_it_never_takes_more_probes_than_it_may() -> None:
    assert len(run(lambda rate, number: probe(rate, 0.96, number, 30), plan=SearchPlan(max_probes=5))) == 5


def test_a_rate_that_the_client_cannot_carry_is_tried_twice_and_then_stayed_below() -> None:
    probes = run(lambda rate, number: replace(probe(rate, 1.0, number), client=BUSY if rate > 10 else WELL), 4.0)
    rates = [each.offered_rate for each in probes]
    assert rates[:4] == [4.0, 8.0, 16.0, 16.0]
    assert max(rates[4:]) < 16.0
    goodput = found(probes)
    assert "client was the limit" in goodput.withheld
    assert goodput.failed_rate is None
    assert 9.0 < goodput.passed_rate <= 10.0


def test_a_client_without_free_users_is_not_tried_again() -> None:
    probes = run(lambda rate, number: replace(probe(rate, 1.0, number), client=FULL if rate > 10 else WELL), 16.0)
    assert [each.offered_rate for each in probes][:2] == [16.0, 8.0]


def test_a_hiccup_of_the_client_does_not_end_the_search() -> None:
    def once(rate: float, number: int) -> ProbeResult:
        return replace(knee(10.0)(rate, number), client=BUSY if number == 1 else WELL)

    goodput = found(run(once, 4.0))
    assert goodput.withheld == ""
    assert goodput.rate.value == pytest.approx(9.0, rel=0.1)


def test_the_clients_limit_above_a_rate_that_failed_withholds_nothing() -> None:
    probes = run(lambda rate, number: replace(knee(10.0)(rate, number), client=BUSY if rate > 20 else WELL), 32.0)
    assert found(probes).withheld == ""


def test_only_withheld_probes_give_no_goodput_at_all() -> None:
    probes = run(lambda rate, number: replace(probe(rate, 1.0, number), client=BUSY), 4.0, SearchPlan(max_probes=4))
    assert found(probes).withheld
    assert found(probes).passed_rate == 0


def test_an_slo_that_an_idle_server_misses_ends_the_search_soon() -> None:
    probes = run(lambda rate, number: probe(rate, 0.7 if rate < 5 else 0.2, number), 8.0)
    assert len(probes) <= 5
    assert (found(probes).rate.value, found(probes).failed_rate) == (0.0, min(each.offered_rate for each in probes))


def test_a_pace_that_slackens_with_the_rate_is_no_sign_of_an_idle_server() -> None:
    def paced(rate: float, number: int) -> ProbeResult:
        made = probe(rate, 1.0 if rate < 3 else 0.0, number, missed="slow_tpot")
        return replace(made, tpot=replace(made.tpot, p50=0.01 * rate))

    assert found(run(paced, 40.0)).passed_rate == pytest.approx(3.0, rel=0.1)


def test_the_ends_of_the_primary_bracket_are_offered_twice() -> None:
    probes = run(knee(10.0), 4.0)
    rates = [each.offered_rate for each in probes]
    goodput = found(probes)
    assert rates.count(goodput.passed_rate) == rates.count(goodput.failed_rate) == 2


def test_refused_requests_are_no_sign_of_an_idle_server() -> None:
    probes = run(lambda rate, number: probe(rate, min(1.0, 1.0 / rate), number, missed="shed"), 32.0)
    assert found(probes).rate.value == pytest.approx(1.05, rel=0.1)


def test_a_backlog_fails_a_rate_whatever_its_answers_were() -> None:
    probes = run(lambda rate, number: replace(probe(rate, 1.0, number), ended_early="grew" if rate > 10 else ""), 4.0)
    goodput = found(probes, 0.99)
    assert goodput.passed_rate <= 10 < goodput.failed_rate <= goodput.passed_rate * 1.1


def test_a_backlog_of_which_nothing_was_answered_in_time_fails_its_rate_too() -> None:
    def serve(rate: float, number: int) -> ProbeResult:
        return (
            probe(rate, 1.0, number) if rate <= 10 else replace(probe(rate, 1.0, number, count=0), ended_early="grew")
        )

    probes = run(serve, 4.0)
    blocks = {each.number: Blocks(*[np.full(8, each.outcomes["good"] / 8)] * 2) for each in probes}
    goodput = estimate(probes, blocks, 0.99, 0)
    assert goodput.passed_rate <= 10 < goodput.failed_rate <= goodput.passed_rate * 1.1
    assert goodput.passed_rate * 0.9 <= goodput.rate.low <= goodput.rate.value <= goodput.rate.high <= 11


def test_it_explains_what_it_does() -> None:
    search = Search(SearchPlan(), 4.0)
    assert search.explain() == "starting at 4 rps"
    search.add(knee(7.0)(4.0, 0))
    assert search.explain() == "4 rps pass at 0.95, doubling"
    search.add(knee(7.0)(8.0, 1))
    assert search.explain() == "bracket 4 to 8 rps at 0.95"


def test_quantiles_without_0_95_begin_with_the_middle_one() -> None:
    search = Search(SearchPlan(quantiles=(0.5, 0.99, 0.9)), 4.0)
    search.add(probe(4.0, 1.0))
    assert search.explain().endswith("at 0.9, doubling")
