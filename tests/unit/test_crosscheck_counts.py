"""The client's rows against what front and engine counted: a recorded run holds, and each way to differ is found."""

from __future__ import annotations

import re

import pytest

from loadtest.plan import Plan, Target, TrafficClass, Workload
from loadtest.records import rows
from loadtest.results import CrossCheck
from loadtest.server.crosscheck import Expect, reconcile
from loadtest.server.exposition import Snapshots
from loadtest.slo import Fault
from tests.support.recorded import ENGINE, Recorded

STREAMS = Expect((True,))


@pytest.fixture
def exact() -> Recorded:
    return Recorded("exact")


@pytest.fixture
def left() -> Recorded:
    return Recorded("left")


def checked(run: Recorded, **after: str) -> CrossCheck:
    return reconcile(run.before(), run.after(**after), run.rows, STREAMS)


def failed(found: CrossCheck) -> dict[str, str]:
    return {entry.what: entry.note for entry in found.entries if not entry.holds}


def plus(text: str, sample: str, more: float) -> str:
    """The page with one sample raised."""
    changed, count = re.subn(rf"(?m)^({re.escape(sample)}) (\S+)$", lambda m: f"{m[1]} {float(m[2]) + more}", text)
    assert count == 1, sample
    return changed


def test_a_recorded_run_adds_up_to_the_last_token(exact: Recorded) -> None:
    found = checked(exact)
    assert (found.checked, found.holds, found.note) == (True, True, "")
    told = {entry.what: (entry.client, entry.server) for entry in found.entries}
    assert told["front: requests"] == (40, 40)
    assert told["front: requests answered"] == told["engines: requests finished"] == (37, 37)
    assert told["front: requests failed"] == (3, 3)
    assert told["front: output tokens"] == told["engines: output tokens"] == (761, 761)
    assert told["front: prompt tokens"] == told["engines: prompt tokens"] == (6170, 6170)


def test_one_request_of_another_client_is_found_at_the_front(exact: Recorded) -> None:
    sample = 'tidegate_requests_total{model="tiny",outcome="ok",route="/v1/chat/completions",status="200"}'
    found = failed(checked(exact, front=plus(exact.text("front_after"), sample, 1)))
    assert found["front: requests"] == "the client says 40, the server 41: another client was using the server"
    assert "the server 38" in found["front: requests answered"]


def test_one_request_past_the_front_is_found_at_the_engine(exact: Recorded) -> None:
    sample = 'vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"}'
    found = failed(checked(exact, engine=plus(exact.text("engine_after"), sample, 1)))
    assert list(found) == ["engines: requests finished"]
    assert "another client" in found["engines: requests finished"]


def test_one_token_too_many_is_found(exact: Recorded) -> None:
    sample = 'vllm:generation_tokens_total{engine="0",model_name="tiny"}'
    found = failed(checked(exact, engine=plus(exact.text("engine_after"), sample, 1)))
    assert found == {
        "engines: output tokens": "the client says 761, the server 762: another client was using the server"
    }


def test_a_request_that_no_server_saw_is_found(exact: Recorded) -> None:
    more = rows([*exact.records, exact.records[0]])
    found = failed(reconcile(exact.before(), exact.after(), more, STREAMS))
    assert "a server that is not read here" in found["front: requests"]
    assert "engines: requests finished" in found


def test_a_request_that_never_got_a_connection_does_not_count(exact: Recorded) -> None:
    lost = exact.records[0]._replace(fault=Fault.ERROR, status=0, detail="connect", first=float("nan"))
    assert reconcile(exact.before(), exact.after(), rows([*exact.records, lost]), STREAMS).holds


def test_a_request_of_which_nobody_knows_how_far_it_came_may_have_been_counted_or_not(exact: Recorded) -> None:
    unsure = exact.records[0]._replace(fault=Fault.ERROR, status=0, detail="reset", output_tokens=-1)
    instead = rows([*exact.records[1:], unsure])
    besides = rows([*exact.records, unsure._replace(first=float("nan"))])
    assert reconcile(exact.before(), exact.after(), instead, STREAMS).holds
    assert reconcile(exact.before(), exact.after(), besides, STREAMS).holds


def test_clients_that_left_widen_the_counts_to_a_range(left: Recorded) -> None:
    found = checked(left)
    assert found.holds, failed(found)
    notes = {entry.what: entry.note for entry in found.entries}
    assert notes["front: requests"] == ""
    assert notes["front: requests answered"] == "by the client 30 to 37"
    assert notes["engines: output tokens"] == "by the client 529 or more"


def test_a_range_still_has_ends(left: Recorded) -> None:
    sample = 'vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"}'
    assert checked(left, engine=plus(left.text("engine_after"), sample, 7)).holds
    assert not checked(left, engine=plus(left.text("engine_after"), sample, 8)).holds


def test_an_engine_that_restarted_is_named(exact: Recorded) -> None:
    # Its counters went back: what it shows at the end is less than at the begin.
    found = reconcile(exact.after(), exact.before(), exact.rows, STREAMS)
    assert f"{ENGINE} restarted: its counters went back" in failed(found)["engines: requests finished"]
    assert "the front restarted" in failed(found)["front: requests"]


def test_an_engine_that_came_during_the_run_counts_from_zero(exact: Recorded) -> None:
    before, after = exact.before(), exact.after()
    new = dict(after.engines) | {"http://127.0.0.1:30001": after.engines[ENGINE]}
    found = failed(reconcile(before, Snapshots(0.0, after.front, new), exact.rows, STREAMS))
    whole = after.engines[ENGINE].total("vllm:generation_tokens_total")
    assert f"the server {761 + whole:.0f}" in found["engines: output tokens"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_engine_that_is_not_read_at_both_ends_is_said_and_not_judged(exact: Recorded, when: str) -> None:
    ends = {"before": exact.before(), "after": exact.after()}
    ends[when] = Snapshots(0.0, ends[when].front, {}, frozenset({ENGINE}), ("it cannot be read",))
    found = reconcile(ends["before"], ends["after"], exact.rows, STREAMS)
    assert {entry.what.partition(":")[0] for entry in found.entries} == {"front"}
    assert "it cannot be read" in found.note
    assert f"engines are not compared: {ENGINE}" in found.note


def test_servers_that_cannot_be_read_leave_nothing_checked(exact: Recorded) -> None:
    found = reconcile(Snapshots(0.0), Snapshots(1.0), exact.rows, STREAMS)
    assert (found.checked, found.entries) == (False, ())
    assert "no server could be read" in found.note


def test_answers_without_usage_leave_a_lower_bound(exact: Recorded) -> None:
    records = [exact.records[0]._replace(output_tokens=-1, prompt_tokens=-1), *exact.records[1:]]
    found = reconcile(exact.before(), exact.after(), rows(records), STREAMS)
    notes = {entry.what: entry.note for entry in found.entries}
    assert found.holds
    assert notes["front: output tokens"] == f"by the client {761 - exact.records[0].output_tokens} or more"


def test_what_the_front_sent_again_is_a_note(exact: Recorded) -> None:
    retried = 'tidegate_engine_attempts_total{engine="127.0.0.1:1",outcome="500"} 3.0\n'
    found = checked(exact, front=exact.text("front_after") + retried)
    assert found.holds
    assert "lost 3 attempts" in found.note


def test_an_answer_that_the_front_lost_may_be_whole_at_its_engine(exact: Recorded) -> None:
    lost = 'tidegate_engine_attempts_total{engine="127.0.0.1:1",outcome="silent"} 1.0\n'
    sample = 'vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"}'
    engine = plus(exact.text("engine_after"), sample, 1)
    assert not checked(exact, engine=engine).holds
    assert checked(exact, engine=engine, front=exact.text("front_after") + lost).holds


def test_only_a_stream_without_a_token_may_be_one_more_at_the_server(exact: Recorded) -> None:
    sample = 'tidegate_time_to_first_token_seconds_bucket{le="+Inf",model="tiny"}'
    one_more = plus(exact.text("front_after"), sample, 1)
    # The three that were refused had no first token, and none at the server.
    assert list(failed(checked(exact, front=one_more))) == ["front: first tokens"]
    silent = [exact.records[0]._replace(first=float("nan")), *exact.records[1:]]
    assert reconcile(exact.before(), exact.after(), rows(silent), STREAMS).holds


def test_targets_that_share_engines_are_counted_together_there(exact: Recorded) -> None:
    mine, all_of_them = rows(exact.records[:20]), exact.rows
    plain = (Snapshots(0.0, None, found.engines) for found in (exact.before(), exact.after()))
    before, after = plain
    assert not reconcile(before, after, mine, STREAMS).holds
    assert reconcile(before, after, mine, STREAMS, all_of_them).holds


def test_a_plan_says_what_streams_and_how_many_choices() -> None:
    classes = (TrafficClass(), TrafficClass(slo="batch", stream=False))
    workload = Workload(classes=classes, body={"n": 2})
    assert Expect.of(Plan(targets=(Target(base_url="http://a"),), workload=workload)) == Expect((True, False), 2)


def test_documents_have_no_first_token_to_compare(exact: Recorded) -> None:
    found = reconcile(exact.before(), exact.after(), exact.rows, Expect((False,)))
    assert failed(found).keys() == {"front: first tokens"}  # the front saw streams: the plan did not say so
    assert not [entry for entry in found.entries if entry.what.startswith("engines: first")]
