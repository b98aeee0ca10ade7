"""The client against a real front: sessions, sheds, a retry at another engine."""

from __future__ import annotations

import hashlib
import time
from typing import Literal

import pytest

from loadtest.client.answer import Answer
from loadtest.client.client import Client
from loadtest.client.conversation import Conversation
from loadtest.client.prompts import Prompts, TokenScale
from loadtest.slo import Fault
from loadtest.traffic.session import Session, Turn
from tests.support.script import BEFORE_HEAD, Script
from tests.support.world import MakeWorld, World

TURNS = (Turn(20, 5), Turn(30, 6, 1.0))


def talk(world: World, history: Literal["client", "server"], name: str, key: str = "") -> list[Answer]:
    """Two turns with a shared prefix."""
    host, port = world.front.address
    client, answers = Client(f"http://{host}:{port}/v1", key or world.front.key, "tiny"), []
    conversation = Conversation(Session(0, 0.0, 0, 1, 50, TURNS), Prompts(name, TokenScale()), history, name)
    for turn in range(len(TURNS)):
        answers.append(client.ask(conversation.ask(turn, stream=True, body={}), time.perf_counter))
        conversation.answered(answers[-1].text)
    client.close()
    return answers


@pytest.mark.parametrize("history", ["client", "server"])
def test_the_engine_sees_the_same_whoever_keeps_the_history(solo: World, history: Literal["client", "server"]) -> None:
    answers = talk(solo, history, f"load-{history}")
    assert [(answer.fault, answer.output_tokens) for answer in answers] == [(Fault.NONE, 3)] * 2
    said = [[message["role"] for message in seen.body["messages"]] for seen in solo.engine.seen]
    assert said == [["system", "user"], ["system", "user", "assistant", "user"]]
    assert solo.engine.seen[1].body["messages"][2]["content"] == "Hello, world"


def test_what_a_front_refuses_by_its_limits_is_a_shed(world: MakeWorld) -> None:
    hashed = hashlib.sha256(b"load").hexdigest()
    full = world(keys=[{"name": "load", "sha256": hashed, "requests_per_minute": 1}])
    answers = talk(full, "client", "shed", key="load")
    assert [answer.fault for answer in answers] == [Fault.NONE, Fault.SHED]
    assert answers[1].retry_after_seconds > 0


def test_a_retry_by_the_front_is_one_answer_and_its_wait_is_in_the_first_token(pair: World) -> None:
    once = [Script(fault="fin", at=BEFORE_HEAD, head_delay=0.2)]
    for engine in pair.engines:
        engine.decide = lambda _: once.pop() if once else None
    first, _ = talk(pair, "client", "retry")
    assert (first.fault, first.chunks, pair.seen_by_engines) == (Fault.NONE, 3, 3)
    assert first.first - first.sent >= 0.2
