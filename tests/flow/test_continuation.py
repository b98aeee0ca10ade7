"""A stream of plain text whose engine breaks goes on at another one, and its client sees one stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.broken_streams import (
    SCRIPT,
    SETTINGS,
    USAGE,
    asked,
    assert_one_stream,
    giving_ids,
    play,
    requests,
    same_id,
    say,
    text,
    undisturbed,
)
from tests.support.raw_http import split_events
from tests.support.script import Fault, Script
from tests.support.token_ids import FIRST_OUTPUT, PROMPT
from tests.support.vllm_wire import is_usage_only
from tests.support.waiting import eventually
from tests.support.world import BODIES, CHAT, COMPLETIONS, MakeWorld, World

PATHS = [CHAT, COMPLETIONS]
FAULTS: list[Fault] = ["rst", "fin", "kill", "error_event", "done_without_finish", "clean_end"]


@pytest.fixture
def two(world: MakeWorld) -> World:
    """One front over two engines that give token ids."""
    return giving_ids(world(2, SETTINGS))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", PATHS)
def test_a_stream_cut_anywhere_is_one_stream_to_its_client(two: World, path: str, fault: Fault) -> None:
    body = asked(path, **USAGE)
    expected = undisturbed(two, body)
    for cut in range(1, len(split_events(expected))):
        if fault == "done_without_finish" and cut > len(split_events(expected)) - 3:
            continue  # it has finished
        play(two, [replace(SCRIPT, fault=fault, at=cut)])
        assert_one_stream(say(two, body), expected, cut)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", PATHS)
def test_without_usage_asked_for_none_is_told(two: World, path: str, fault: Fault) -> None:
    body = asked(path)
    expected = undisturbed(two, body)
    assert not any(map(is_usage_only, split_events(expected)))
    for cut in (1, 3, 7):
        if fault != "done_without_finish" or cut < 7:
            play(two, [replace(SCRIPT, fault=fault, at=cut)])
            assert_one_stream(say(two, body), expected, cut)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cutting", [{"events_per_write": 100}, {"bytes_per_write": 61}, {"framing": "close"}])
def test_events_that_come_together_or_in_pieces_are_one_stream_too(
    two: World, path: str, cutting: dict[str, Any]
) -> None:
    script = replace(SCRIPT, **cutting)
    body = asked(path, **USAGE)
    expected = undisturbed(two, body, script)
    for cut in range(1, len(split_events(expected)) - 2):
        play(two, [replace(script, fault="fin", at=cut)], then=script)
        assert_one_stream(say(two, body), expected, cut)


@pytest.mark.parametrize("path", PATHS)
def test_an_event_cut_in_its_middle_is_said_again_whole(two: World, path: str) -> None:
    body = asked(path, **USAGE)
    expected = undisturbed(two, body)
    for cut, event in enumerate(split_events(expected)[:-1]):
        if cut:
            play(two, [replace(SCRIPT, fault="fin", at=cut, tail=event[: len(event) // 2])])
            assert_one_stream(say(two, body), expected, cut)


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_falls_silent_goes_on_elsewhere(world: MakeWorld, path: str) -> None:
    two = giving_ids(world(2, {**SETTINGS, "front.timeouts.idle_seconds": 0.3}))
    body = asked(path, **USAGE)
    expected = undisturbed(two, body)
    for cut in (1, 4, 7, 8):
        play(two, [replace(SCRIPT, fault="hang", at=cut)])
        assert_one_stream(say(two, body), expected, cut)
    eventually(lambda: not any(engine.in_flight for engine in two.engines), what="both engines free")


@pytest.mark.parametrize("fault", ["rst", "clean_end", "no_done"])
@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_has_finished_is_ended_without_asking_again(two: World, path: str, fault: Fault) -> None:
    body = asked(path, **USAGE)
    expected = undisturbed(two, body)
    for cut in (7, 8):
        play(two, [replace(SCRIPT, fault=fault, at=cut)])
        assert_one_stream(say(two, body), expected, cut)
        assert two.seen_by_engines == 1


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("path", PATHS)
def test_tokens_without_text_before_the_cut_are_said_again(two: World, path: str, finish: str) -> None:
    script = Script((" one", "", "", " two", "", " three"), finish=finish)
    body = asked(path, **USAGE)
    expected = undisturbed(two, body, script)
    for cut in range(1, 7):
        play(two, [replace(script, fault="rst", at=cut)], then=script)
        answer = say(two, body)
        assert text(answer.body) == text(expected)
        assert same_id(b"".join(answer.events[-3:])) == same_id(b"".join(split_events(expected)[-3:])), cut


@pytest.mark.parametrize("path", PATHS)
def test_the_other_engine_is_asked_for_what_is_left(two: World, path: str) -> None:
    sampling = {"temperature": 0, "top_p": 0.5, "top_k": 3, "stop_token_ids": [9], "logit_bias": {"5": 1}}
    spent = {"user": "me", "truncate_prompt_tokens": 50, "add_special_tokens": True, "seed": 7, "min_tokens": 0}
    play(two, [replace(SCRIPT, fault="rst", at=4)])
    say(two, asked(path, **sampling, **spent, max_tokens=20))
    first, second = requests(two)
    said = 3 if path == CHAT else 4
    assert (first["path"], first["max_tokens"], first["return_token_ids"]) == (path, 20, True)
    assert first["cache_salt"]
    assert second == {
        **sampling,
        "path": COMPLETIONS,
        "model": "tiny",
        "prompt": [*PROMPT, *range(FIRST_OUTPUT, FIRST_OUTPUT + said)],
        "max_tokens": 20 - said,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "cache_salt": first["cache_salt"],
    }


@pytest.mark.parametrize(
    ("path", "bound", "left"),
    [
        (CHAT, {}, 2048 - len(PROMPT) - 2),
        (CHAT, {"max_completion_tokens": 9}, 7),
        (COMPLETIONS, {}, 16 - 3),
        (COMPLETIONS, {"max_tokens": None}, 16 - 3),
    ],
)
def test_without_a_bound_the_engines_own_holds(two: World, path: str, bound: dict[str, Any], left: int) -> None:
    play(two, [replace(SCRIPT, fault="rst", at=3)])
    say(two, {**BODIES[path], "stream": True, **bound})
    assert requests(two)[1]["max_tokens"] == left


def test_charged_are_the_tokens_of_an_undisturbed_stream(two: World) -> None:
    def tokens() -> tuple[float, float]:
        metric = two.front.metric
        return metric("tidegate_tokens_total", kind="prompt"), metric("tidegate_tokens_total", kind="output")

    for cut in (1, 4, 7):
        before = tokens()
        play(two, [replace(SCRIPT, fault="rst", at=cut)])
        say(two, asked(CHAT))
        after = (before[0] + len(PROMPT), before[1] + len(SCRIPT.tokens))
        eventually(lambda after=after: tokens() == after, what=f"{after}, cut at {cut}")
