"""What a session sends turn by turn, when the client keeps its history and when the server does."""

from __future__ import annotations

from typing import Any, Literal

from loadtest.client.answer import Ask
from loadtest.client.conversation import Conversation
from loadtest.client.prompts import Prompts, TokenScale
from loadtest.traffic.session import Session, Turn

PROMPTS = Prompts("seed", TokenScale())
TURNS = (Turn(20, 5), Turn(30, 6, 1.0), Turn(40, 7, 1.0))


def conversation(history: Literal["client", "server"], prefix: int = 2, prompts: Prompts = PROMPTS) -> Conversation:
    return Conversation(Session(4, 0.0, 1, prefix, 100 if prefix >= 0 else 0, TURNS), prompts, history, "run-4")


def ask(talk: Conversation, turn: int) -> Ask:
    return talk.ask(turn, stream=True, body={"ignore_eos": True})


def roles(asked: Ask) -> list[str]:
    return [message["role"] for message in asked.messages]


def new(turn: int) -> Any:
    return PROMPTS.messages(4, turn, TURNS[turn].input_tokens)[0]


def test_a_client_kept_history_grows_by_the_real_answers() -> None:
    talk = conversation("client")
    first = ask(talk, 0)
    talk.answered("Low water.")
    second = ask(talk, 1)
    assert roles(first) == ["system", "user"]
    assert list(second.messages) == [*first.messages, {"role": "assistant", "content": "Low water."}, new(1)]
    assert (first.max_tokens, second.max_tokens, first.headers) == (5, 6, {})
    assert first.messages[0]["content"] == PROMPTS.prefix(1, 2, 100)


def test_a_server_kept_history_is_asked_with_what_is_new() -> None:
    talk = conversation("server")
    first = ask(talk, 0)
    talk.answered("")
    second = ask(talk, 1)
    assert roles(first) == ["system", "user"]
    assert list(second.messages) == [new(1)]
    assert first.headers == second.headers == {"x-session-id": "run-4"}


def test_the_prefix_is_told_again_when_the_first_turn_failed() -> None:
    for history in ("client", "server"):
        talk = conversation(history)
        ask(talk, 0)
        assert roles(ask(talk, 1)) == ["system", "user"]


def test_a_failed_turn_is_no_part_of_the_history() -> None:
    talk = conversation("client", prefix=-1)
    ask(talk, 0)
    talk.answered("a")
    ask(talk, 1)
    third = ask(talk, 2)
    assert list(third.messages) == [new(0), {"role": "assistant", "content": "a"}, new(2)]


def test_text_is_asked_for_where_a_later_turn_sends_it() -> None:
    client, server = conversation("client"), conversation("server")
    assert [ask(client, turn).keep_text for turn in range(3)] == [True, True, False]
    assert [ask(server, turn).keep_text for turn in range(3)] == [False, False, False]


def test_body_fields_and_streaming_are_handed_on() -> None:
    asked = conversation("client").ask(0, stream=False, body={"ignore_eos": True})
    assert (asked.stream, asked.body, asked.first_by, asked.end_by) == (False, {"ignore_eos": True}, None, None)


def test_prompts_from_a_file_are_the_turns_of_a_session() -> None:
    listed = [[{"role": "user", "content": text}] for text in "abcdef"]
    talk = conversation("client", prefix=-1, prompts=Prompts("seed", TokenScale(), listed))
    ask(talk, 0)
    talk.answered("!")
    assert [message["content"] for message in ask(talk, 1).messages] == ["e", "!", "f"]
