"""Streams of an engine that tells several tokens at once go on behind the last whole character, wherever they broke."""

from __future__ import annotations

import pytest

from tests.support.raw_http import parsed
from tests.support.script import Script
from tests.support.token_ids import FIRST_OUTPUT, PROMPT
from tests.support.world import COMPLETIONS, MakeWorld, World

# "" is the first half of a character, whose second half has the text.
TOKENS = ("a", "", "é", "b", "", "", "😀", "c", "d", "", "ü")


@pytest.fixture
def three_at_once(fresh_world: MakeWorld) -> World:
    world = fresh_world(2)
    for engine in world.engines:
        engine.gives_token_ids = True
        engine.script = Script(TOKENS, tokens_per_event=3)
    return world


def text_of(events: list[bytes]) -> str:
    choices = [choice for event in parsed(events) for choice in event.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("at", range(2, 5))
def test_half_a_character_is_not_what_a_continuation_begins_behind(three_at_once: World, at: int) -> None:
    breaks = Script(TOKENS, tokens_per_event=3, fault="rst", at=at)
    first = True

    def breaks_once(seen: object) -> Script | None:
        nonlocal first
        was_first, first = first, False
        return breaks if was_first else None

    for engine in three_at_once.engines:
        engine.decide = breaks_once
    answer = three_at_once.say()
    assert answer.status == 200
    assert text_of(answer.events) == "".join(TOKENS)
    assert answer.events[-1] == b"data: [DONE]\n\n"
    asked = [seen for engine in three_at_once.engines for seen in engine.seen if seen.path == COMPLETIONS]
    assert len(asked) == 1
    said = asked[0].body["prompt"][len(PROMPT) :]
    assert not said or TOKENS[said[-1] - FIRST_OUTPUT]
