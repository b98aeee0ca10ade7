"""What of a session is sent: properties over generated sessions, and the rules one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import InvalidRequest, SettingsError
from serving.front.state import history
from serving.front.state.history import Strategy
from serving.front.state.records import Item, Turn
from serving.settings import HistorySettings

FULL = Strategy("full")
LARGE = 10**9


def chat(*roles: str) -> tuple[Item, ...]:
    return tuple(Item(f"m{index}", {"role": role, "content": "x"}) for index, role in enumerate(roles))


PLAIN, CALL = chat("user", "assistant"), chat("tool", "assistant")


def session(*turns: tuple[tuple[Item, ...], int]) -> list[Turn]:
    """Turns of these items and sizes, numbered and measured as a store does it."""
    stored: list[Turn] = []
    before = 0
    for number, (items, tokens) in enumerate(turns, 1):
        stored.append(Turn(f"t{number}", 0, "chat", items, "complete", tokens, number, before))
        before += tokens
    return stored


def plain(count: int, tokens: int = 10) -> list[Turn]:
    return session(*[(PLAIN, tokens)] * count)


def numbers(turns: Sequence[Turn]) -> list[int]:
    return [turn.number for turn in turns]


def size(turns: Sequence[Turn]) -> int:
    return sum(turn.tokens for turn in turns)


kinds = st.sampled_from([PLAIN, PLAIN, PLAIN, CALL, chat("system", "tool", "assistant"), ()])
sessions = st.lists(st.tuples(kinds, st.integers(0, 400)), max_size=60).map(lambda turns: session(*turns))
sizes = st.none() | st.integers(1, 40)
chosen = st.builds(
    Strategy, st.sampled_from(["full", "window", "summary"]), sizes, st.none() | st.integers(1, 3000)
).map(lambda strategy: FULL if strategy.name == "full" else strategy)
rooms = st.integers(-5, 6000)


def group_starts(turns: Sequence[Turn]) -> list[Turn]:
    """Turns that stand for themselves: not empty, not beginning with a tool's result."""
    return [turn for turn in turns if turn.items and history.starts_clean(turn)]


@given(sessions, chosen, rooms)
def test_what_is_sent_is_the_end_of_the_session_and_fits_the_room(
    turns: list[Turn], strategy: Strategy, room: int
) -> None:
    sent = history.cut(turns, strategy, room)
    there = [turn for turn in turns if turn.items]
    assert list(sent) == there[len(there) - len(sent) :]
    assert size(sent) <= max(room, 0)


@given(sessions, chosen, rooms)
def test_a_tool_result_is_sent_with_the_turn_that_has_its_call(
    turns: list[Turn], strategy: Strategy, room: int
) -> None:
    sent = history.cut(turns, strategy, room)
    assert not sent or sent[0] in group_starts(turns)


@given(sessions, chosen, rooms)
def test_the_newest_turn_is_sent_whenever_it_fits_with_what_it_cannot_be_parted_from(
    turns: list[Turn], strategy: Strategy, room: int
) -> None:
    starts = group_starts(turns)
    there = [turn for turn in turns if turn.items]
    newest = there[there.index(starts[-1]) :] if starts else []
    end = newest[-1].tokens_before + newest[-1].tokens if newest else 0
    fits = bool(newest) and end - newest[0].tokens_before <= room
    assert bool(history.cut(turns, strategy, room)) == fits


@given(sessions, chosen, rooms)
def test_a_window_is_exceeded_by_turns_that_cannot_be_parted_only(
    turns: list[Turn], strategy: Strategy, room: int
) -> None:
    sent = history.cut(turns, strategy, room)
    if len(group_starts(sent)) > 1:
        assert strategy.turns is None or len(sent) <= strategy.turns
        assert strategy.tokens is None or size(sent) <= strategy.tokens


@given(sessions, chosen, rooms, st.data())
def test_any_view_that_misses_nothing_gives_the_same_cut(
    turns: list[Turn], strategy: Strategy, room: int, data: st.DataObject
) -> None:
    view = turns[data.draw(st.integers(0, len(turns))) :]
    if view and not history.misses_older(view, strategy, room):
        assert list(history.cut(view, strategy, room)) == list(history.cut(turns, strategy, room))


@given(st.integers(1, 60), st.integers(1, 100), chosen, st.integers(100, 6000))
def test_with_the_turn_before_the_cut_known_nothing_older_is_asked_for(
    count: int, tokens: int, strategy: Strategy, room: int
) -> None:
    turns = plain(count, tokens)
    first = history.cut(turns, strategy, room)[0].number
    assert first == 1 or not history.misses_older(turns[first - 2 :], strategy, room)


def firsts(turns: list[Turn], strategy: Strategy, room: int) -> list[int]:
    """Number of the first turn sent, after each turn of the session."""
    found = []
    for count in range(1, len(turns) + 1):
        sent = history.cut(turns[:count], strategy, room)
        found.append(sent[0].number if sent else count + 1)
    return found


def changes(values: list[int]) -> int:
    return sum(one != other for one, other in pairwise(values))


@settings(max_examples=50)
@given(st.lists(st.sampled_from([PLAIN, PLAIN, PLAIN, CALL]), min_size=1, max_size=120), st.integers(2, 40))
def test_a_window_of_turns_moves_a_block_at_a_time(kinds: list[tuple[Item, ...]], limit: int) -> None:
    turns = session(*[(items, 10) for items in [PLAIN, *kinds]])
    first = firsts(turns, Strategy("window", turns=limit), LARGE)
    assert first == sorted(first)
    assert changes(first) <= 2 * len(turns) / (limit // 2)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([PLAIN, PLAIN, CALL]), st.integers(1, 60)), max_size=120))
def test_a_bound_of_tokens_moves_a_block_at_a_time(turns: list[tuple[tuple[Item, ...], int]]) -> None:
    whole = session((PLAIN, 10), *turns)
    for strategy, room in ((FULL, 500), (Strategy("window", tokens=500), LARGE)):
        first = firsts(whole, strategy, room)
        assert first == sorted(first)
        assert changes(first) <= 2 * size(whole) / 128 + 2


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=100))
def test_a_room_that_depends_on_the_new_message_never_brings_dropped_turns_back(asked: list[tuple[int, int]]) -> None:
    """Room is what a context of 1,000 leaves beside the new message; each turn is that message and its answer."""
    turns = session(*[(PLAIN, message + answer) for message, answer in asked])
    first = []
    for count in range(1, len(turns)):
        sent = history.cut(turns[:count], FULL, 1000 - asked[count][0])
        first.append(sent[0].number if sent else count + 1)
    assert first == sorted(first)
    assert changes(first) <= 2 * size(turns) / 256 + 2


@pytest.mark.parametrize(("strategy", "room"), [(FULL, 500), (Strategy("window", tokens=500), LARGE)])
def test_a_bound_of_500_tokens_moves_by_128(strategy: Strategy, room: int) -> None:
    first = firsts(plain(200, 10), strategy, room)
    assert changes(first) == 2000 // 128 - 3
    assert size(history.cut(plain(200, 10), strategy, room)) > 500 - 128 - 10


def test_turns_that_cost_nothing_are_not_missed_where_the_cut_begins() -> None:
    turns = session((PLAIN, 10), (PLAIN, 118), (PLAIN, 0), (PLAIN, 0), (PLAIN, 500))
    assert numbers(history.cut(turns, FULL, 500)) == [3, 4, 5]
    assert history.misses_older(turns[3:], FULL, 500)
    assert not history.misses_older(turns[1:], FULL, 500)


def test_a_window_of_twenty_keeps_eleven_to_twenty() -> None:
    sent = [len(history.cut(plain(count), Strategy("window", turns=20), LARGE)) for count in range(1, 100)]
    assert max(sent) == 20
    assert min(sent[20:]) == 11


def test_a_turn_with_nothing_left_of_it_is_skipped() -> None:
    turns = session((PLAIN, 10), ((), 10), (PLAIN, 10))
    assert numbers(history.cut(turns, FULL, LARGE)) == [1, 3]


def test_a_repeated_system_prompt_does_not_hide_that_a_turn_begins_with_a_result() -> None:
    turns = session((PLAIN, 10), (chat("system", "tool", "assistant"), 10))
    assert history.cut(turns, FULL, 15) == []


@pytest.mark.parametrize("kind", ["function_call_output", "custom_tool_call_output", "computer_call_output"])
def test_a_result_item_of_the_responses_api_belongs_to_the_turn_before(kind: str) -> None:
    turn = Turn("t", 0, "response", (Item("i", {"type": kind, "call_id": "c", "output": "x"}),))
    assert not history.starts_clean(turn)


def test_nothing_is_sent_when_the_newest_turn_alone_is_more_than_the_room() -> None:
    assert history.cut(session((PLAIN, 10), (PLAIN, 100)), FULL, 99) == []


def test_a_turn_larger_than_the_window_is_sent_alone() -> None:
    turns = session((PLAIN, 10), (PLAIN, 100))
    assert numbers(history.cut(turns, Strategy("window", tokens=50), 200)) == [2]


def test_turns_that_a_summary_stands_for_are_not_sent() -> None:
    assert numbers(history.cut(plain(6), Strategy("summary"), LARGE, after=4)) == [5, 6]


@given(sessions, chosen, rooms)
def test_a_summary_is_asked_for_where_a_cut_can_begin(turns: list[Turn], strategy: Strategy, room: int) -> None:
    due = history.summary_due(turns, strategy, room)
    if due is not None:
        assert strategy.name == "summary"
        assert due + 1 in numbers(group_starts(turns))
        assert history.summary_due(turns, strategy, room, due) is None


def test_a_summary_that_is_made_when_it_is_due_covers_all_that_is_dropped() -> None:
    strategy, through, made = Strategy("summary", turns=20), None, []
    for count in range(1, 200):
        turns = plain(count)
        sent = history.cut(turns, strategy, LARGE, through)
        assert numbers(sent) == list(range((through or 0) + 1, count + 1))
        due = history.summary_due(turns, strategy, LARGE, through)
        if due is not None:
            through = due
            made.append(due)
    assert made == list(range(10, 200, 10))


def test_without_a_summary_in_time_the_window_moves_all_the_same() -> None:
    assert len(history.cut(plain(100), Strategy("summary", turns=20), LARGE, after=10)) <= 20


def test_what_a_session_continues_comes_before_its_own_first_turn() -> None:
    both = history.joined(plain(3), plain(2))
    assert numbers(both) == [-2, -1, 0, 1, 2]
    assert [turn.tokens_before for turn in both] == [-30, -20, -10, 0, 10]


@given(sessions, sessions, chosen, rooms)
def test_the_cut_of_a_continued_session_does_not_depend_on_how_much_of_the_older_one_was_read(
    older: list[Turn], own: list[Turn], strategy: Strategy, room: int
) -> None:
    whole = history.joined(older, own)
    for start in range(len(older)):
        view = history.joined(older[start:], own)
        if view and not history.misses_older(view, strategy, room):
            assert list(history.cut(view, strategy, room)) == list(history.cut(whole, strategy, room))


@pytest.mark.parametrize(
    ("given_value", "param"),
    [
        ("window", "history"),
        ({}, "history.strategy"),
        ({"strategy": "last"}, "history.strategy"),
        ({"strategy": ["full"]}, "history.strategy"),
        ({"strategy": "window"}, "history.turns"),
        ({"strategy": "window", "turns": 0}, "history.turns"),
        ({"strategy": "window", "turns": True}, "history.turns"),
        ({"strategy": "window", "turns": 2.0}, "history.turns"),
        ({"strategy": "window", "tokens": "9"}, "history.tokens"),
        ({"strategy": "full", "tokens": 9}, "history.tokens"),
        ({"strategy": "window", "turns": 2**40}, "history.turns"),
        ({"strategy": "window", "turns": 2, "size": 2}, "history.size"),
    ],
)
def test_a_wrong_strategy_is_refused_by_name(given_value: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        history.parse(given_value, "history")
    assert refused.value.param == param


def test_a_strategy_is_read_as_a_client_writes_it() -> None:
    assert history.parse({"strategy": "window", "turns": 20}, "history") == Strategy("window", 20)


def test_a_window_without_a_size_in_the_settings_stops_the_start() -> None:
    with pytest.raises(SettingsError, match=r"front\.state\.history\.turns"):
        history.from_settings(HistorySettings(strategy="window"))
    assert history.from_settings(HistorySettings()) == FULL
