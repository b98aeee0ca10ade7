"""Keys and rows of the DynamoDB table: what must not collide does not, what must sort sorts, orphans are dropped."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from serving.adapters.dynamodb.keys import document_list_key, document_partition, session_partition, short, user_key
from serving.adapters.dynamodb.rows import PART_BYTES, item_rows, marker_row, parts_of, turns_of
from serving.front.state.records import Item, Key, Turn

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text("%/#~a2F5", max_size=8)
IDS = TEXTS | TEXTS.map(lambda text: text * 400) | TEXTS.map(lambda text: short(text * 400))
KEYS = st.builds(Key, IDS, IDS)
TIMES = st.floats(0, 4e9).map(lambda seconds: round(seconds, 6))
NOW, LATER = 100.0, 200.0
TURN = Turn("t", 1.0, "chat", (Item("a", {"n": 1}), Item("b", {"n": 2})), number=7)


@given(one=KEYS, other=KEYS)
def test_two_keys_never_share_a_partition(one: Key, other: Key) -> None:
    sessions = session_partition(one), session_partition(other)
    assert (sessions[0] == sessions[1]) == (one == other)
    assert (document_partition("response", one) == document_partition("response", other)) == (one == other)
    assert document_partition("response", one) not in sessions
    assert len(document_partition("chat_completion", one).encode()) <= 2048


@given(one=KEYS, other=KEYS)
def test_two_users_never_share_a_list(one: Key, other: Key) -> None:
    lists = user_key(one.tenant, "session", one.id), user_key(other.tenant, "session", other.id)
    assert (lists[0] == lists[1]) == (one == other)


@given(one=st.tuples(TIMES, TEXTS), other=st.tuples(TIMES, TEXTS))
def test_list_keys_sort_as_time_and_id_do(one: tuple[float, str], other: tuple[float, str]) -> None:
    keys = document_list_key(*one).encode(), document_list_key(*other).encode()
    assert (keys[0] < keys[1]) == (one < other)


@given(filler=st.integers(PART_BYTES - 5, PART_BYTES + 5), text=st.text("aé€\U0001f600", min_size=1, max_size=9))
def test_a_text_is_cut_between_its_characters(filler: int, text: str) -> None:
    whole = "x" * filler + text * 3
    parts = parts_of(whole.encode())

    assert "".join(parts) == whole
    assert all(0 < len(part.encode()) <= PART_BYTES for part in parts)


def test_items_of_an_attempt_that_no_marker_names_are_dropped() -> None:
    lost = TURN._replace(id="lost", items=(Item("c", {"n": 3}),))
    rows = [*item_rows("p", 7, "1111", TURN, LATER), *item_rows("p", 7, "2222", lost, LATER)]

    assert turns_of(rows, "inc", NOW) == {}
    rows.append(marker_row("p", TURN, "1111", "inc", LATER))
    assert turns_of(rows, "inc", NOW) == {7: TURN}


def test_markers_of_another_incarnation_and_of_the_past_are_dropped() -> None:
    rows = item_rows("p", 7, "1111", TURN, LATER)

    assert turns_of([*rows, marker_row("p", TURN, "1111", "other", LATER)], "inc", NOW) == {}
    assert turns_of([*rows, marker_row("p", TURN, "1111", "inc", NOW)], "inc", NOW) == {}


def test_an_item_that_misses_a_part_is_dropped_whole() -> None:
    long = TURN._replace(items=(Item("long", {"text": "x" * 3 * PART_BYTES}), Item("b", {"n": 2})))
    rows = item_rows("p", 7, "1111", long, LATER)
    marker = marker_row("p", long, "1111", "inc", LATER)

    assert turns_of([*rows, marker], "inc", NOW) == {7: long}
    for gone in range(len(rows) - 1):
        left = rows[:gone] + rows[gone + 1 :]
        assert turns_of([*left, marker], "inc", NOW) == {7: long._replace(items=long.items[1:])}
    assert len(rows) == 1 + len(parts_of(orjson.dumps(long.items[0].content)))
