"""Recorded traffic: each format read, wrong lines named, conversations found, and replayed at a pace or a rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.plan import Arrivals, TrafficClass, Workload
from loadtest.traffic.schedule import offered, schedule
from loadtest.traffic.session import Session, Turn
from loadtest.traffic.traces import TraceError, read
from serving.front.demand import Demand
from serving.front.dialect import CHAT
from serving.front.entry import Entry
from serving.front.events import Usage
from serving.front.ledger import Counting, Ledger
from serving.front.relay import Outcome
from serving.front.slo import Slo
from serving.front.wire import Arrived
from serving.metrics import FrontMetrics

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_text(text, encoding="utf-8")
    return path


def lines(folder: Path, *entries: dict[str, Any]) -> Path:
    return written(folder, "".join(json.dumps(entry) + "\n" for entry in entries))


def mooncake(at: float, tokens: int, answer: int, *blocks: int) -> dict[str, Any]:
    return {"timestamp": at * 1000, "input_length": tokens, "output_length": answer, "hash_ids": blocks}


def logged(ended: float, took: float, prompt: int | None, answer: int | None, **more: Any) -> dict[str, Any]:
    line = {"time": 1.8e9 + ended, "request_id": "r", "duration_seconds": took, "team": "a", "session": None}
    return line | {"prompt_tokens": prompt, "output_tokens": answer} | more


def replayed(path: Path, rate: float = 0, seconds: float = 1e6, speed: float = 1.0, **more: Any) -> list[Session]:
    return schedule(Workload(**more), Arrivals(kind="trace", trace=path, speed=speed), rate, seconds, 1)


def test_azure_rows_are_requests_of_no_conversation(tmp_path: Path) -> None:
    rows = "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.9799600,3180,8\n"
    trace = read(written(tmp_path, "\ufeff" + AZURE + rows))
    assert trace.at_seconds == pytest.approx([0, 2])
    assert trace.input_tokens.tolist() == [4808, 3180]
    assert trace.output_tokens.tolist() == [10, 8]
    assert trace.session.tolist() == [-1, -1]


def test_azure_times_with_a_zone_and_columns_in_another_order(tmp_path: Path) -> None:
    rows = "7,2024-05-10 00:00:01+00:00,300\n8,2024-05-10 02:00:00.500000+02:00,400\n"
    trace = read(written(tmp_path, "GeneratedTokens,TIMESTAMP,ContextTokens\n" + rows))
    assert trace.at_seconds.tolist() == [0, 0.5]
    assert trace.input_tokens.tolist() == [400, 300]
    assert trace.output_tokens.tolist() == [8, 7]


def test_a_front_logs_when_requests_end_and_which_session_they_are_of(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        logged(3, 1, 50, 10, session="s"),
        logged(4, 4, 90, 20),
        logged(9, 2, 100, 5, session="s"),
        logged(9.5, 1, 100, 5, session="s", team="b"),
    )
    trace = read(path)
    assert trace.at_seconds == pytest.approx([0, 2, 7, 8.5])
    assert trace.answer_seconds.tolist() == [4, 1, 2, 1]
    assert trace.session.tolist() == [-1, 0, 0, 1]


def test_requests_without_usage_are_counted_as_skipped(tmp_path: Path) -> None:
    trace = read(
        lines(
            tmp_path,
            logged(1, 0, None, None, status=429),
            logged(2, 1, 50, 10),
            logged(3, 0, None, 0),
            logged(4, 1, 9, 0),
        )
    )
    assert trace.skipped == 3
    assert trace.input_tokens.tolist() == [50]


def test_what_a_front_really_logs_is_read(tmp_path: Path) -> None:
    log: list[bytes] = []
    metrics = FrontMetrics()
    counting = Counting(metrics, Demand(metrics, (), lambda: 5.0), Slo({}, ""))
    ledger = Ledger(counting, log.append, lambda: 5.0, lambda: 1.8e9)
    for prompt_tokens, at in ((50, 1.0), (60, 3.0)):
        entry = Entry(Arrived("r", at, CHAT, {}, b""))
        usage = Usage(prompt_tokens, 10)
        entry.outcome = lambda usage=usage: Outcome(usage, 10, "stop", 4.0, 5.0)
        ledger.close(entry)
    ledger.close(Entry(Arrived("refused", 4.0, CHAT, {}, b"")))
    trace = read(written(tmp_path, b"\n".join(log).decode()))
    assert (trace.at_seconds.tolist(), trace.skipped) == ([0, 2], 1)
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([50, 60], [10, 10])


def test_turns_of_a_session_are_what_is_new_and_the_thinking_between_them(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        logged(1, 1, 50, 10, session="s"),
        logged(6, 2, 75, 20, session="s"),
        logged(6.5, 0.6, 90, 5, session="s"),
    )
    [session] = replayed(path)
    first, second, third = session.turns
    assert (first, second.input_tokens, second.output_tokens) == (Turn(50, 10), 15, 20)
    assert second.think_seconds == pytest.approx(3)
    # Its question came before the answer ended, and its history was cut to less than there had been.
    assert (third.input_tokens, third.think_seconds) == (1, 0)


def test_mooncake_blocks_tell_conversations_and_shared_prefixes(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        mooncake(0, 1600, 100, 0, 1, 2, 3),
        mooncake(3, 700, 5, 0, 4),
        mooncake(6, 900, 5, 0, 5),
        mooncake(30, 2100, 50, 0, 1, 2, 6, 7),
        mooncake(60, 2500, 50, 0, 1, 2, 6, 8, 9),
    )
    found = replayed(path)
    assert [(one.at_seconds, one.prefix, one.prefix_tokens, len(one.turns)) for one in found] == [
        (0, 0, 512, 3),
        (3, 0, 512, 1),
        (6, 0, 512, 1),
    ]
    assert found[0].turns == (Turn(1600 - 512, 100), Turn(400, 50, 30), Turn(350, 50, 30))


def test_the_same_mooncake_prompt_again_is_no_next_turn(tmp_path: Path) -> None:
    found = replayed(lines(tmp_path, mooncake(0, 1600, 100, 0, 1, 2, 3), mooncake(9, 1650, 100, 0, 1, 2, 4)))
    assert [len(one.turns) for one in found] == [1, 1]


def test_a_mooncake_conversation_that_forks_goes_on_once(tmp_path: Path) -> None:
    first, second = mooncake(0, 1536, 100, 0, 1, 2), mooncake(9, 2100, 100, 0, 1, 2, 3, 5)
    found = replayed(lines(tmp_path, first, second, mooncake(12, 1900, 100, 0, 1, 2, 4)))
    assert [(one.at_seconds, len(one.turns)) for one in found] == [(0, 2), (12, 1)]


def test_requests_of_one_moment_keep_the_order_of_the_trace(tmp_path: Path) -> None:
    found = replayed(lines(tmp_path, *(mooncake(place // 100, place + 1, 5) for place in range(300))))
    assert [one.turns[0].input_tokens for one in found] == list(range(1, 301))


def test_a_mooncake_trace_without_hashes_has_no_conversations(tmp_path: Path) -> None:
    trace = read(lines(tmp_path, mooncake(0, 1600, 100), mooncake(9, 1650, 100)))
    assert trace.session.tolist() == [-1, -1]
    assert trace.prefix_tokens.tolist() == [0, 0]


def test_speed_replays_times_and_thinking_sooner(tmp_path: Path) -> None:
    path = lines(tmp_path, logged(1, 1, 50, 10, session="s"), logged(6, 1, 75, 20, session="s"), logged(9, 1, 5, 5))
    first, second = replayed(path, speed=2)
    assert [first.at_seconds, second.at_seconds] == pytest.approx([0, 4])
    assert first.turns[1].think_seconds == pytest.approx(2)


@pytest.mark.parametrize("rate", [0.5, 20.0])
def test_at_a_rate_a_trace_has_it_and_begins_again_when_it_is_over(tmp_path: Path, rate: float) -> None:
    at = np.cumsum(np.random.default_rng(1).exponential(0.5, 400))
    path = lines(tmp_path, *(mooncake(moment, 100 + place, 10) for place, moment in enumerate(at)))
    found = replayed(path, rate, seconds=1_600 / rate)
    assert offered(found) == pytest.approx(1_600, abs=1)
    assert found[400].turns == found[0].turns
    assert found[-1].at_seconds < 1_600 / rate
    gaps = np.diff([one.at_seconds for one in found[:400]])
    assert gaps / gaps.mean() == pytest.approx(np.diff(at) / np.diff(at).mean(), abs=1e-6)


def test_at_its_own_pace_a_trace_ends(tmp_path: Path) -> None:
    found = replayed(lines(tmp_path, mooncake(0, 5, 5), mooncake(1, 5, 5), mooncake(2, 5, 5)))
    assert [one.at_seconds for one in found] == [0, 1, 2]


def test_only_what_begins_within_the_window_is_replayed(tmp_path: Path) -> None:
    found = replayed(lines(tmp_path, mooncake(0, 5, 5), mooncake(1, 5, 5), mooncake(2, 5, 5)), seconds=2)
    assert [one.at_seconds for one in found] == [0, 1]


def test_a_trace_is_cut_to_the_context_like_all_else(tmp_path: Path) -> None:
    path = lines(tmp_path, logged(1, 1, 5000, 10), logged(2, 1, 60, 9, session="s"), logged(9, 1, 90, 30, session="s"))
    found = replayed(path, max_context_tokens=100)
    assert [one.turns for one in found] == [(Turn(90, 10),), (Turn(60, 9),)]


def test_classes_of_a_trace_are_drawn_by_weight(tmp_path: Path) -> None:
    path = lines(tmp_path, *(mooncake(place, 5, 5) for place in range(2_000)))
    found = replayed(path, classes=(TrafficClass(weight=3), TrafficClass(slo="batch")))
    assert np.mean([one.traffic_class for one in found]) == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 2_000) ** 0.5)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (AZURE + "2023-11-16 18:17:03,5,5\n2023-11-16 18:17:04,x,5\n", 3, "expected a date and two numbers"),
        (AZURE + "yesterday,5,5\n", 2, "Invalid isoformat string: 'yesterday'"),
        (AZURE + "2023-11-16 18:17:03,5\n", 2, "expected a date and two numbers"),
        (AZURE + "2023-11-16 18:17:03,-5,5\n", 2, "-5 is no count of tokens"),
        ("TIMESTAMP,ContextTokens\n", 1, "no column GeneratedTokens"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 5}\n{"timestamp": 0}\n', 2, "input_length is missing"),
        ('{"timestamp": 0, "input_length": 5.5, "output_length": 5}\n', 1, "5.5 is no count of tokens"),
        ('{"timestamp": NaN, "input_length": 5, "output_length": 5}\n', 1, "nan is no time"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 5}\n\n{"timest', 3, "expected numbers timestamp (ms)"),
        ('{"time": 1, "request_id": "r", "prompt_tokens": 5}\n', 1, "output_tokens is missing"),
        ('{"level": "info", "message": "started"}\n', 1, "unknown keys level, message; expected an Azure CSV header"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_expected(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TraceError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: line {line}: ")
    assert says in str(raised.value)


@pytest.mark.parametrize("text", ["", "\n\n", AZURE])
def test_a_trace_without_a_request_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(TraceError, match="no request in it; expected an Azure CSV header"):
        read(written(tmp_path, text))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "trace").write_bytes(b"\x1f\x8b\x08\xff\xfe")
    with pytest.raises(TraceError, match="cannot be read as text"):
        read(tmp_path / "trace")


def test_a_trace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.csv: cannot be read"):
        read(tmp_path / "nowhere.csv")


def test_requests_all_at_once_have_no_rate_to_scale(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all come at once"):
        replayed(lines(tmp_path, mooncake(5, 5, 5), mooncake(5, 5, 5)), rate=3)
