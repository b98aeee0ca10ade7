"""What an engine is shown of a session: whole, by window, within its context, its system prompt and calls in place."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from serving.adapters.stores import open_store
from serving.front.keys import mint
from serving.front.state.records import Item, Key, Session, Turn
from serving.settings import StateSettings
from tests.support.script import Script
from tests.support.state_world import TEAMS
from tests.support.two_fronts import TwoFronts, answered, chat, new_id
from tests.support.waiting import eventually
from tests.support.world import CHAT, MakeWorld

TWO = {"strategy": "window", "turns": 2}
CALL = {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}


def texts(seen: Any) -> list[str]:
    return [message["content"] for message in seen.body["messages"]]


def turns(fronts: TwoFronts, session: str, count: int, **fields: Any) -> None:
    for number in range(count):
        assert fronts.say(f"m{number}", session_id=session, **fields).status == 200


def test_a_history_is_whole_unless_asked_otherwise(fronts: TwoFronts) -> None:
    session = new_id()
    turns(fronts, session, 8)
    assert fronts.shown() == [*answered(*(f"m{number}" for number in range(7))), ("user", "m7")]


def test_a_window_asked_for_once_is_for_that_request(fronts: TwoFronts) -> None:
    session = new_id()
    turns(fronts, session, 5)
    fronts.say("narrow", session_id=session, history=TWO)
    assert fronts.shown() == [*answered("m3", "m4"), ("user", "narrow")]
    fronts.say("wide", session_id=session)
    assert len(fronts.shown()) == 13


def test_a_window_given_when_a_session_begins_is_its_own(fronts: TwoFronts) -> None:
    session = new_id()
    fronts.say("first", session_id=session, history=TWO)
    turns(fronts, session, 5, front=1)
    assert fronts.shown() == [*answered("m2", "m3"), ("user", "m4")]
    fronts.say("all", session_id=session, history={"strategy": "full"})
    assert len(fronts.shown()) == 13


def test_a_window_of_tokens_drops_what_is_too_much(fronts: TwoFronts) -> None:
    session = new_id()
    history = {"strategy": "window", "tokens": 60}
    fronts.engine.script = Script(usage=False)
    for number in range(12):
        fronts.say(f"m{number}", session_id=session, history=history)
    shown = fronts.shown()
    assert 3 <= len(shown) < 23
    assert shown == [*answered(*(f"m{number}" for number in range(11))), ("user", "m11")][-len(shown) :]


@pytest.mark.parametrize("by", ["key", "server"])
def test_a_window_may_be_the_default_of_a_key_or_a_server(world: MakeWorld, by: str) -> None:
    key = mint()
    entry: dict[str, Any] = {"name": "short", "team": "short", "key": key}
    defaults = {"front.state.history.strategy": "window", "front.state.history.turns": 2}
    made = world(keys=[{**entry, "history": TWO}]) if by == "key" else world(settings=defaults, keys=[entry])
    for number in range(5):
        made.ask(CHAT, chat(f"m{number}", session_id="s"), key=key)
    assert texts(made.engine.seen[-1]) == ["m2", "Hello, world", "m3", "Hello, world", "m4"]


@pytest.mark.parametrize(
    ("history", "named"),
    [
        ({"strategy": "window", "turns": 0}, "history.turns"),
        ({"strategy": "window", "turns": "2"}, "history.turns"),
        ({"strategy": "window", "turns": True}, "history.turns"),
        ({"strategy": "window"}, "history.turns"),
        ({"strategy": "full", "turns": 2}, "history.turns"),
        ({"strategy": "window", "tokens": -1}, "history.tokens"),
        ({"strategy": "last"}, "history.strategy"),
        ({"turns": 2}, "history.strategy"),
        ({"strategy": "full", "size": 1}, "history.size"),
        ("full", "history"),
    ],
)
def test_a_bad_history_is_refused_by_name(fronts: TwoFronts, history: Any, named: str) -> None:
    for answer in (fronts.say(session_id=new_id(), history=history), fronts.respond(history=history)):
        assert (answer.status, answer.error["param"]) == (400, named)
    assert not fronts.engine.seen


def test_a_history_is_cut_to_the_context_with_its_system_prompt_kept(world: MakeWorld) -> None:
    made = world(settings={"front.engine_poll_seconds": 0.1})
    made.engine.max_model_len, made.engine.script = 200, Script(usage=False)
    eventually(lambda: b'"max_model_len":200' in made.ask("/v1/models").body, what="the context length")
    system = {"role": "system", "content": "Be brief."}
    user = {"role": "user", "content": "x" * 200}
    made.say(stream=False, messages=[system, user], session_id="cut", max_tokens=20)
    for _ in range(11):
        assert made.say(stream=False, messages=[user], session_id="cut", max_tokens=20).status == 200
    sent = made.engine.seen[-1].body["messages"]
    assert sent[0] == system
    assert sent[-1] == user
    assert 2 < len(sent) < 14


def test_the_latest_system_prompt_is_in_force_and_first(fronts: TwoFronts) -> None:
    session = new_id()
    old, new = ({"role": "system", "content": content} for content in ("Old.", "New."))
    fronts.say(session_id=session, messages=[old, {"role": "user", "content": "one"}])
    fronts.say("two", session_id=session, front=1)
    assert fronts.shown() == [("system", "Old."), *answered("one"), ("user", "two")]
    fronts.say(session_id=session, messages=[new, {"role": "user", "content": "three"}])
    fronts.say("four", session_id=session, front=1)
    assert fronts.shown() == [("system", "New."), *answered("one", "two", "three"), ("user", "four")]


def test_a_call_and_its_result_are_never_parted_by_a_window(fronts: TwoFronts) -> None:
    session = new_id()
    call = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "", "tool_calls": [CALL]}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "low"}
    fronts.say(session_id=session, messages=call)
    fronts.say(session_id=session, messages=[result])
    for number, window in enumerate((1, 2, 1, 3)):
        fronts.say(f"m{number}", session_id=session, history={"strategy": "window", "turns": window})
        sent = fronts.engine.seen[-1].body["messages"]
        calls = [call["id"] for message in sent for call in message.get("tool_calls") or ()]
        assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == calls


def test_three_hundred_turns_are_shown_whole(fronts: TwoFronts) -> None:
    session = new_id()
    asyncio.run(fill(fronts.store_url, Key(TEAMS[0], session), 300))
    assert fronts.say("last", session_id=session).status == 200
    assert fronts.shown() == [*answered(*(f"m{number}" for number in range(300))), ("user", "last")]


async def fill(store_url: str, key: Key, count: int) -> None:
    """A session of so many turns, as another replica would have kept them."""
    store, now = await open_store(store_url, StateSettings()), time.time()
    for number in range(count):
        pair = answered(f"m{number}")
        added = tuple(Item(f"msg_{role}_{number}", {"role": role, "content": text}) for role, text in pair)
        await store.append(key, number, Turn(f"turn_{number}", now, "chat", added, tokens=4), new=Session(key, now))
    await store.close()


def test_a_message_of_a_megabyte_comes_back_whole(fronts: TwoFronts) -> None:
    session, long = new_id(), "mega\n" * 200_000
    fronts.say(long, session_id=session)
    fronts.say("next", session_id=session, front=1)
    assert fronts.shown() == [*answered(long), ("user", "next")]


def test_a_window_moves_in_blocks_so_that_prompts_share_their_beginning(fronts: TwoFronts) -> None:
    session = new_id()
    turns(fronts, session, 16, history={"strategy": "window", "turns": 8})
    first = [shown[0] for shown in map(fronts.shown, range(16))]
    assert first == [("user", f"m{start}") for start in [0] * 9 + [4] * 4 + [8] * 3]
