"""The checker finds what it is there to find: each kind of broken promise, in an otherwise good history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.checker import history_checker, witness
from tests.checker.history import Reading, Request
from tests.checker.witness import Pair, Statement
from tests.support.said import Outcome

S = "red/s1"


def generated(count: int, session: str = S) -> list[Pair]:
    return [Pair(f"{session}/c{number}", f"g{number}") for number in range(1, count + 1)]


def acknowledged(turns: list[Pair], session: str = S) -> list[Request]:
    """One client's turns one after the other, each acknowledged with what it was generated from."""
    return [
        Request(
            session,
            pair.marker,
            began=number,
            ended=number + 0.5,
            outcome="acked",
            text=witness.testify(Statement(pair.answer, pair.marker, tuple(turns[:number]))),
        )
        for number, pair in enumerate(turns)
    ]


def reading(turns: list[Pair], session: str = S, source: str = "store") -> Reading:
    return Reading(session, source, 1000.0, tuple(turns))


def unacknowledged(marker: str, outcome: Outcome, began: float = 0.0) -> Request:
    return Request(S, marker, began, began + 0.1, outcome)


def kinds(requests: list[Request], *readings: Reading, generated: list[Statement] | None = None) -> set[str]:
    return {violation.kind for violation in history_checker.check(requests, readings, generated)}


def test_a_good_history_is_good() -> None:
    turns = generated(5)
    assert kinds(acknowledged(turns), reading(turns), reading(turns, source="front 1")) == set()


def test_a_turn_that_failed_or_broke_may_be_kept_once_or_not_at_all() -> None:
    turns = generated(3)
    requests = [
        *acknowledged(turns),
        unacknowledged(f"{S}/x1", "broken", began=2.6),
        unacknowledged(f"{S}/x2", "failed"),
    ]
    kept = [*turns, Pair(f"{S}/x1", "g9")]
    assert kinds(requests, reading(kept)) == set()
    assert kinds(requests, reading([*kept, kept[-1]])) == {"doubled"}


def test_a_lost_turn() -> None:
    turns = generated(4)
    assert kinds(acknowledged(turns), reading(turns[:-1])) == {"lost"}


def test_a_lost_turn_that_no_other_answer_shows() -> None:
    turns = generated(4)
    assert "lost" in kinds(acknowledged(turns)[-1:], reading([]))


def test_a_turn_acknowledged_after_a_reading_began_is_not_missed_there() -> None:
    turns = generated(2)
    early = Reading(S, "store", 1.2, tuple(turns[:1]))
    assert kinds(acknowledged(turns), early) == set()


def test_a_doubled_turn() -> None:
    turns = generated(3)
    assert "doubled" in kinds(acknowledged(turns), reading([*turns, turns[1]]))


def test_a_fork_that_both_answers_show() -> None:
    turns = generated(3)
    requests = acknowledged(turns)
    rival = Pair(f"{S}/r1", "g9")
    text = witness.testify(Statement(rival.answer, rival.marker, tuple(turns[:2])))
    requests.append(Request(S, rival.marker, began=2, ended=2.5, outcome="acked", text=text))
    assert "fork" in kinds(requests)
    assert "fork" in kinds(requests, reading([*turns, rival]))


def test_an_answer_generated_from_a_history_that_is_not_the_one_before_it() -> None:
    turns = generated(4)
    requests = acknowledged(turns)
    stale = Statement(turns[3].answer, turns[3].marker, tuple(turns[:2]))
    requests[3] = replace(requests[3], text=witness.testify(stale))
    assert kinds(requests, reading(turns)) == {"fork"}


def test_two_fronts_that_disagree() -> None:
    turns = generated(3)
    other = [*turns[:2], Pair(turns[2].marker, "g9")]
    assert "fork" in kinds(acknowledged(turns), reading(turns), reading(other, source="front 2"))


def test_a_reorder() -> None:
    turns = generated(3)
    late = Pair(f"{S}/x1", "g9")
    requests = [*acknowledged(turns), unacknowledged(late.marker, "broken", began=50)]
    assert kinds(requests, reading([*turns[:2], late, turns[2]])) >= {"reordered"}


def test_a_foreign_turn_that_only_an_engine_was_shown() -> None:
    shown = Statement("g1", f"{S}/c1", (Pair("blue/s1/c1", "g0"),))
    assert kinds([unacknowledged(f"{S}/c1", "refused")], generated=[shown]) == {"leaked"}


def test_a_leaked_marker_in_the_history_and_in_what_an_answer_was_generated_from() -> None:
    turns = generated(2)
    foreign = Pair("blue/s1/c1", "g9")
    assert kinds(acknowledged(turns), reading([foreign, *turns])) >= {"leaked"}
    assert kinds(acknowledged([foreign, *turns])[1:]) == {"leaked"}


def test_an_answer_that_belongs_to_another_request() -> None:
    turns = generated(1)
    foreign = Statement("g1", "blue/s1/c1", ())
    requests = [replace(acknowledged(turns)[0], text=witness.testify(foreign))]
    assert kinds(requests) >= {"leaked"}


def test_a_phantom() -> None:
    turns = generated(2)
    assert kinds(acknowledged(turns), reading([*turns, Pair(f"{S}/ghost", "g9")])) == {"phantom"}
    assert kinds(acknowledged(turns), reading([*turns, Pair(witness.UNKNOWN, "g9")])) == {"phantom"}


def test_a_refused_turn_that_was_kept() -> None:
    turns = generated(2)
    requests = [*acknowledged(turns), unacknowledged(f"{S}/x1", "refused", began=1.6)]
    assert kinds(requests, reading(turns)) == set()
    assert kinds(requests, reading([*turns, Pair(f"{S}/x1", "g9")])) == {"refused but kept"}


def test_a_silent_success() -> None:
    assert kinds([unacknowledged(f"{S}/c1", "silent")], reading([])) == {"silent"}


def test_an_acknowledged_answer_that_is_not_whole() -> None:
    requests = acknowledged(generated(1))
    assert kinds([replace(requests[0], text=requests[0].text[:-2])]) == {"truncated"}


@pytest.mark.parametrize("kept", ["g1 to red/s1/c1 after (", ""])
def test_an_answer_that_the_store_has_otherwise(kept: str) -> None:
    turns = generated(1)
    held = replace(reading(turns), texts={turns[0].marker: kept})
    assert kinds(acknowledged(turns), held) == {"altered"}


def test_a_key_that_was_answered_twice() -> None:
    turns = generated(1)
    first = replace(acknowledged(turns)[0], idempotency_key="k")
    second = replace(first, text=witness.testify(Statement("g2", first.marker, ())))
    assert "answered twice" in kinds([first, second])


def test_a_key_that_was_generated_twice_though_nothing_failed() -> None:
    turns = generated(1)
    first = replace(acknowledged(turns)[0], idempotency_key="k")
    once = Statement("g1", first.marker, ())
    assert kinds([first, first], generated=[once]) == set()
    assert kinds([first, first], generated=[once, once]) == {"generated twice"}
    failed = replace(first, outcome="failed", text="")
    assert kinds([failed, first], generated=[once, once]) == set()


def test_an_answer_says_what_its_engine_was_shown_in_both_dialects() -> None:
    asked = {"role": "user", "content": witness.say(f"{S}/c1")}
    answer = witness.testify(Statement("g1", f"{S}/c1", ()))
    more = {"role": "user", "content": [{"type": "input_text", "text": witness.say(f"{S}/c2")}]}
    shown = (Pair(f"{S}/c1", "g1"), Pair(f"{S}/c2", witness.MISSING))
    assert witness.pairs({"messages": [asked, {"role": "assistant", "content": answer}, more]}) == shown
    output = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]}
    assert witness.pairs({"input": [asked, {"type": "reasoning"}, output, more]}) == shown
    assert witness.understand(witness.testify(Statement("g2", f"{S}/c2", shown))) == ("g2", f"{S}/c2", shown)
