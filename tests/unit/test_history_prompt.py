"""The messages an engine gets over the life of a session: the system prompt, the summary, and a stable prefix."""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.front.state import history, prompt
from serving.front.state.history import Strategy
from serving.front.state.prompt import REPEAT_TURNS, Summary
from serving.front.state.records import Format, Item, Turn

LARGE = 10**9
Message = dict[str, Any]


def message(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


class Chat:
    """A session as the front keeps it; it knows the newest `view` turns only."""

    def __init__(self, strategy: Strategy, form: Format = "chat", view: int = REPEAT_TURNS) -> None:
        self.turns: list[Turn] = []
        self._strategy, self._form, self._view = strategy, form, view
        self._ids = count()

    def ask(self, *new: Message, tokens: int = 10) -> list[Message]:
        """One request; returns what its engine gets."""
        known = self.turns[-self._view :]
        system = prompt.in_force(known)
        sent = prompt.compose(new, self._form, system, None, history.cut(known, self._strategy, LARGE))
        items = tuple(Item(self._mint("msg"), content) for content in new)
        turn = Turn("", 0, self._form, items, tokens=tokens, number=len(self.turns) + 1)
        answer = message("assistant", f"answer {turn.number}")
        answer = answer if self._form == "chat" else {"type": "message", **answer}
        stored = (*prompt.to_store(turn, system, self._mint), Item(self._mint("msg"), answer))
        before = self.turns[-1].tokens_before + self.turns[-1].tokens if self.turns else 0
        self.turns.append(turn._replace(items=stored, tokens_before=before))
        return sent

    def _mint(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids)}"


SYSTEM = message("system", "Be kind.")


@pytest.mark.parametrize("view", [REPEAT_TURNS, 2 * REPEAT_TURNS])
def test_a_system_prompt_given_once_is_first_in_every_request(view: int) -> None:
    chat = Chat(Strategy("window", turns=4), view=view)
    chat.ask(SYSTEM, message("user", "1"))
    for number in range(2, 200):
        sent = chat.ask(message("user", str(number)))
        assert sent[0] == SYSTEM
        assert [entry["role"] for entry in sent].count("system") == 1


def test_a_system_prompt_that_every_request_repeats_is_stored_once_in_a_while_only() -> None:
    chat = Chat(Strategy())
    for number in range(1, 101):
        sent = chat.ask(SYSTEM, message("user", str(number)))
        assert [entry["role"] for entry in sent].count("system") == 1
    bringing = [turn.number for turn in chat.turns if turn.items[0].content["role"] == "system"]
    assert bringing == [1, 33, 65, 97]


def test_the_latest_system_prompt_wins() -> None:
    chat = Chat(Strategy())
    chat.ask(SYSTEM, message("user", "1"))
    changed = message("system", "Be brief.")
    assert chat.ask(changed, message("user", "2"))[0] == changed
    sent = chat.ask(message("user", "3"))
    assert sent[0] == changed
    assert SYSTEM not in sent


def test_a_system_message_inside_a_conversation_stays_where_it_is() -> None:
    chat = Chat(Strategy())
    chat.ask(message("user", "1"), SYSTEM)
    sent = chat.ask(message("user", "2"))
    assert [entry["role"] for entry in sent] == ["user", "system", "assistant", "user"]


def test_ids_of_a_stored_session_are_each_there_once() -> None:
    chat = Chat(Strategy())
    for number in range(1, 70):
        chat.ask(SYSTEM, message("user", str(number)))
    ids = [item.id for turn in chat.turns for item in turn.items]
    assert len(ids) == len(set(ids))


@settings(max_examples=30)
@given(
    st.sampled_from([Strategy(), Strategy("window", turns=10), Strategy("window", tokens=400)]),
    st.sampled_from(["chat", "response"]),
    st.lists(st.integers(1, 60), min_size=2, max_size=80),
)
def test_between_two_moves_of_the_window_each_request_begins_with_the_one_before(
    strategy: Strategy, form: Format, sizes: list[int]
) -> None:
    chat = Chat(strategy, form, view=1000)
    kind = {"type": "message"} if form == "response" else {}
    sent = [chat.ask({**kind, **message("user", f"{at}")}, tokens=tokens) for at, tokens in enumerate(sizes)]
    moves = sum(one != other[: len(one)] for one, other in pairwise(sent))
    assert moves <= 2 * max(len(sizes) / 5, sum(sizes) / 128 + 1) * (strategy.name == "window")


def test_a_session_begun_by_chat_goes_on_as_responses_with_its_system_prompt() -> None:
    chat = Chat(Strategy())
    chat.ask(SYSTEM, message("user", "1"))
    sent = prompt.compose([message("user", "2")], "response", prompt.in_force(chat.turns), None, chat.turns)
    assert sent[:2] == [
        {"type": "message", "role": "system", "content": "Be kind."},
        {"type": "message", "role": "user", "content": "1"},
    ]


SUMMARY = Summary(through=8, text="They spoke of tides.", tokens=9)


def test_a_summary_comes_with_the_system_prompt_before_the_turns_after_it() -> None:
    chat = Chat(Strategy())
    chat.ask(SYSTEM, message("user", "1"))
    sent = prompt.compose([message("user", "2")], "chat", prompt.in_force(chat.turns), SUMMARY, chat.turns)
    assert [entry["role"] for entry in sent] == ["system", "user", "assistant", "user"]
    assert sent[0]["content"].startswith("Be kind.\n\n")
    assert sent[0]["content"].endswith("They spoke of tides.")


@pytest.mark.parametrize("parts", [None, [{"type": "text", "text": "Be kind."}]])
def test_a_summary_is_a_message_of_its_own_where_no_system_text_is(parts: Any) -> None:
    head = [message("system", parts)] if parts else []
    sent = prompt.compose([*head, message("user", "2")], "chat", None, SUMMARY, ())
    assert [entry["role"] for entry in sent] == ["system"] * (len(head) + 1) + ["user"]
    assert sent[-2]["content"].endswith("They spoke of tides.")


def test_composing_changes_nothing_that_is_stored() -> None:
    chat = Chat(Strategy())
    chat.ask(SYSTEM, message("user", "1"))
    before = repr(chat.turns)
    prompt.compose([message("user", "2")], "chat", prompt.in_force(chat.turns), SUMMARY, chat.turns)
    assert repr(chat.turns) == before
