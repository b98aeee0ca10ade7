"""What each request was worth, and that sheds and errors stay in the denominator while cut requests are nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest.records import joined
from loadtest.slo import Fault, Outcome, Slo
from loadtest.verdict import measures
from loadtest.verdict.probe_result import Offered, judge
from tests.unit.verdict_world import CHAT, WELL, answered, faulty

BATCH = Slo("batch", None, None)
CODE = Slo("code", 0.1, None, 1.0)


def outcome(slo: Slo = CHAT, **columns: object) -> Outcome:
    return Outcome(int(measures.outcomes(answered(1, **columns), [slo])[0]))


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TIMEOUT, Fault.SHED, Fault.CUT])
def test_a_fault_decides_whatever_the_times_were(fault: Fault) -> None:
    assert outcome(fault=fault) == Outcome[fault.name]
    assert outcome(BATCH, fault=fault) == Outcome[fault.name]
    assert Outcome(int(measures.outcomes(faulty(fault), [CHAT])[0])) == Outcome[fault.name]


@given(st.floats(0, 86400))
@example(0.6)
def test_a_limit_that_is_met_exactly_is_met(scheduled: float) -> None:
    first = scheduled + 0.5
    times = {"scheduled": scheduled, "sent": scheduled, "first": first, "last": first + 10 * 0.05}
    assert outcome(**times) == Outcome.GOOD
    assert outcome(**{**times, "first": first + 1e-6}) == Outcome.SLOW_TTFT
    assert outcome(**{**times, "last": first + 10 * 0.05 + 1e-5}) == Outcome.SLOW_TPOT


def test_ttft_counts_from_the_scheduled_arrival_not_from_the_dispatch() -> None:
    late = answered(1, sent=0.6, first=0.7, last=0.8)
    assert measures.ttft_net(late)[0] == pytest.approx(0.1)
    assert measures.outcomes(late, [CHAT])[0] == Outcome.SLOW_TTFT


def test_a_slow_first_token_is_named_before_slow_later_ones_and_both_before_the_end() -> None:
    assert outcome(first=0.6, last=9.0) == Outcome.SLOW_TTFT
    assert outcome(first=0.1, last=9.0) == Outcome.SLOW_TPOT
    assert outcome(CODE, first=0.05, ended=1.1) == Outcome.SLOW_E2E
    assert outcome(CODE, first=0.05, ended=1.0) == Outcome.GOOD


@pytest.mark.parametrize(
    "tokens", [{"output_tokens": 1}, {"output_tokens": 3, "first_tokens": 3}, {"output_tokens": -1}]
)
def test_an_undefined_tpot_leaves_ttft_alone_to_judge(tokens: dict[str, int]) -> None:
    assert outcome(last=99.0, **tokens) == Outcome.GOOD
    assert outcome(first=0.6, last=99.0, **tokens) == Outcome.SLOW_TTFT


def test_tpot_leaves_out_all_tokens_of_the_first_chunk() -> None:
    assert measures.tpot(answered(1, first=1.0, last=2.0, output_tokens=11, first_tokens=6))[0] == pytest.approx(0.2)


def test_an_answer_without_a_token_is_an_error_where_a_first_token_is_owed() -> None:
    nothing = {"first": np.nan, "last": np.nan, "output_tokens": 0}
    assert outcome(**nothing) == Outcome.ERROR
    assert outcome(BATCH, **nothing) == Outcome.GOOD


def test_each_row_is_judged_by_its_own_class() -> None:
    assert measures.outcomes(answered(2, slo=[0, 1], first=[0.3, 1.3]), [CHAT, CODE]).tolist() == [
        Outcome.GOOD,
        Outcome.SLOW_TTFT,
    ]


def test_no_rows_have_no_outcomes() -> None:
    assert len(measures.outcomes(answered(0), [CHAT])) == 0


def test_sheds_errors_and_timeouts_lower_attainment_and_cut_requests_do_not() -> None:
    faults = [Fault.ERROR, Fault.SHED, Fault.TIMEOUT, Fault.CUT]
    found = joined([answered(10, probe=1), *(faulty(fault, 2) for fault in faults)])
    found["probe"] = 1
    probe = judge(found, Offered(1, 0, 1.0, 0.0, 10.0), [CHAT], [0.95], WELL)
    assert probe.attainment.value == 10 / 16
    assert probe.outcomes == {
        "good": 10, "slow_ttft": 0, "slow_tpot": 0, "slow_e2e": 0, "error": 2, "timeout": 2, "shed": 2, "cut": 2,
    }  # fmt: skip
    assert probe.ttft.count == 10
