"""What an operator sees: one log line per request, and the series."""

from __future__ import annotations

from typing import Any

import pytest

from serving.front.keys import mint
from tests.support.script import Script
from tests.support.vllm_wire import PROMPT_TOKENS
from tests.support.waiting import eventually
from tests.support.world import CHAT, EMBEDDINGS, MakeWorld, World, chat_body

TTFT, TPOT = "tidegate_time_to_first_token_seconds", "tidegate_time_per_output_token_seconds"
REQUESTS, TOKENS = "tidegate_team_requests_total", "tidegate_team_tokens_total"
KEYS: dict[str, dict[str, Any]] = {
    "web": {"name": "web", "team": "web", "key": mint()},
    "web-too": {"name": "web-too", "team": "web", "key": mint()},
    "night": {"name": "night", "team": "night", "key": mint()},
    "few": {"name": "few", "team": 'a "few"', "key": mint(), "requests_per_minute": 1},
    "plain": {"name": "plain", "team": "plain", "key": mint()},
    "broken": {"name": "broken", "team": "broken", "key": mint()},
    "unlucky": {"name": "unlucky", "team": "unlucky", "key": mint()},
}
SECRET = "a prompt that no log may hold"


@pytest.fixture
def solo(world: MakeWorld) -> World:
    """A front that looks at its clock more often than once a second, so that its log lines come sooner."""
    return world(settings={"front.heartbeat_seconds": 0.3})


def secret_body(**fields: object) -> dict[str, object]:
    return chat_body(messages=[{"role": "user", "content": SECRET}], **fields)


def test_a_stream_leaves_one_line(solo: World) -> None:
    answer = solo.say(headers={"X-Request-Id": "theirs"})
    line = solo.front.log_of(answer.headers["x-request-id"])
    assert line["client_request_id"] == "theirs"
    assert line["route"] == CHAT
    assert line["model"] == "tiny"
    assert line["engine"] == f"127.0.0.1:{solo.engine.port}"
    assert (line["attempts"], line["status"], line["error_type"], line["finish"]) == (1, 200, None, "stop")
    assert (line["prompt_tokens"], line["output_tokens"]) == (PROMPT_TOKENS, 3)
    assert 0 < line["ttft_seconds"] <= line["duration_seconds"] < 2
    assert line["team"]
    assert set(line["steps_seconds"]) >= {"auth", "request", "budget", "route", "attempt", "relay"}
    assert sum(line["steps_seconds"].values()) <= line["duration_seconds"] + 0.01


def test_a_document_leaves_one_line(solo: World) -> None:
    line = solo.front.log_of(solo.say(stream=False).headers["x-request-id"])
    assert (line["status"], line["finish"], line["output_tokens"]) == (200, "stop", 3)
    assert line["prompt_tokens"] == PROMPT_TOKENS


def test_a_line_shows_the_key_by_its_first_characters_only(solo: World) -> None:
    line = solo.front.log_of(solo.say().headers["x-request-id"])
    assert solo.front.key.startswith(line["key"])
    assert 3 <= len(line["key"]) <= 10


def test_refusals_leave_a_line_too(solo: World) -> None:
    refusals = [solo.ask(CHAT, chat_body(), key=None), solo.say(model="none"), solo.say(bogus=1)]
    lines = [solo.front.log_of(answer.headers["x-request-id"]) for answer in refusals]
    told = [(line["status"], line["error_type"], line["attempts"]) for line in lines]
    assert told == [(401, "invalid_api_key", 0), (404, "model_not_found", 0), (400, "unknown_parameter", 0)]


def test_a_retried_request_tells_its_attempts_and_the_engine_that_answered(pair: World) -> None:
    once = [Script(status=500, body=b"no")]
    for engine in pair.engines:
        engine.decide = lambda _: once.pop() if once else None
    line = pair.front.log_of(pair.say().headers["x-request-id"])
    assert line["attempts"] == 2
    assert line["engine"] in {f"127.0.0.1:{engine.port}" for engine in pair.engines}
    assert line["status"] == 200


def test_a_broken_stream_tells_its_error(solo: World) -> None:
    solo.engine.script = Script(fault="fin", at=3)
    line = solo.front.log_of(solo.say().headers["x-request-id"])
    assert line["error_type"]
    assert line["finish"] is None


def test_no_prompt_answer_or_key_enters_the_log_or_the_metrics(solo: World) -> None:
    solo.engine.script = Script(("an answer that no log may hold",))
    for body in (secret_body(), secret_body(stream=False), secret_body(bogus=SECRET), secret_body(model=7)):
        solo.ask(CHAT, body)
    solo.ask(CHAT, SECRET.encode())
    for script in (Script(status=500, body=SECRET.encode()), Script(fault="error_event", at=2)):
        solo.engine.script = script
        last = solo.ask(CHAT, secret_body())
    solo.front.log_of(last.headers["x-request-id"])
    seen = "".join(solo.front.lines) + solo.front.stderr + solo.front.get(f"{solo.front.admin_url}/metrics")[1]
    assert SECRET not in seen
    assert "an answer that no log may hold" not in seen
    assert solo.front.key not in seen


def test_a_hostile_request_id_makes_no_second_line(solo: World) -> None:
    answer = solo.say(headers={"X-Request-Id": '"}\\n{"request_id":"forged' + "x" * 5000})
    line = solo.front.log_of(answer.headers["x-request-id"])
    assert len(line["client_request_id"]) <= 256


def test_requests_are_counted_by_route_model_and_status(solo: World) -> None:
    labels = {"route": CHAT, "model": "tiny", "status": "200"}
    before = solo.front.metric("tidegate_requests_total", **labels)
    refused = solo.front.metric("tidegate_requests_total", status="401")
    solo.say()
    solo.ask(CHAT, chat_body(), key="wrong")
    assert solo.front.metric("tidegate_requests_total", **labels) == before + 1
    assert solo.front.metric("tidegate_requests_total", status="401") == refused + 1


def test_an_invented_model_makes_no_new_series(solo: World) -> None:
    for number in range(5):
        solo.say(model=f"invented-{number}")
    assert not [labels for _, labels in solo.front.metrics() if "invented" in str(labels)]


def test_tokens_are_counted_from_usage_for_streams_and_documents(solo: World) -> None:
    before = {kind: solo.front.metric("tidegate_tokens_total", kind=kind) for kind in ("prompt", "output")}
    solo.engine.script = Script(("a",) * 5)
    solo.say()
    solo.say(stream=False)
    solo.ask(EMBEDDINGS, {"model": "tiny", "input": "x"})
    after = {kind: solo.front.metric("tidegate_tokens_total", kind=kind) for kind in ("prompt", "output")}
    assert after["prompt"] - before["prompt"] == 3 * PROMPT_TOKENS
    assert after["output"] - before["output"] == 10


def test_the_tokens_of_a_broken_stream_are_counted(solo: World) -> None:
    before = solo.front.metric("tidegate_tokens_total", kind="output")
    solo.engine.script = Script(("a",) * 9, fault="fin", at=6)
    solo.say()
    assert 4 <= solo.front.metric("tidegate_tokens_total", kind="output") - before <= 6


def bucket(world: World, name: str, edge: str) -> float:
    return world.front.metric(f"{name}_bucket", le=edge)


def test_latency_histograms_have_edges_at_the_goals(solo: World) -> None:
    solo.say()
    names = (TTFT, TPOT, "tidegate_request_duration_seconds")
    edges = {
        name: {dict(labels)["le"] for found, labels in solo.front.metrics() if found == f"{name}_bucket"}
        for name in names
    }
    assert {"0.1", "0.25", "0.5"} <= edges[TTFT]
    assert {"0.025", "0.05"} <= edges[TPOT]
    assert {"1.0", "60.0", "+Inf"} <= edges["tidegate_request_duration_seconds"]


def test_time_to_first_token_is_measured(solo: World) -> None:
    names = [(TTFT, edge) for edge in ("0.25", "0.5")]
    before = [bucket(solo, *name) for name in names]
    solo.engine.script = Script(first_delay=0.35)
    solo.say()
    assert [bucket(solo, *name) for name in names] == [before[0], before[1] + 1]


def test_time_per_token_is_measured(solo: World) -> None:
    names = [(TPOT, edge) for edge in ("0.05", "+Inf")]
    before = [bucket(solo, *name) for name in names]
    solo.engine.script = Script(("a",) * 6, gap=0.08)
    solo.say()
    assert [bucket(solo, *name) for name in names] == [before[0], before[1] + 1]


def test_the_in_flight_gauge_rises_and_falls(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=1)
    with solo.wire() as wire:
        wire.send(solo.chat())
        seen = solo.engine.wait_for()
        assert solo.front.metric("tidegate_requests_in_flight") == 1
        seen.release()
        wire.answer()
        eventually(lambda: solo.front.metric("tidegate_requests_in_flight") == 0, what="gauge back to zero")
    assert solo.front.metric("tidegate_engine_requests_in_flight") == 0


def test_attempts_are_counted_by_engine_and_outcome(pair: World) -> None:
    before = pair.front.metric("tidegate_engine_attempts_total")
    once = [Script(status=500, body=b"no")]
    for engine in pair.engines:
        engine.decide = lambda _: once.pop() if once else None
    pair.say()
    assert pair.front.metric("tidegate_engine_attempts_total") == before + 2


@pytest.fixture
def teams(world: MakeWorld) -> World:
    return world(keys=list(KEYS.values()))


def ask(world: World, key: str, **fields: object) -> int:
    return world.ask(CHAT, chat_body(**fields), key=KEYS[key]["key"]).status


def taken(world: World, team: str) -> dict[str, float]:
    """What the series say of a team, by outcome and by kind of token."""
    samples = [(name, dict(labels), value) for (name, labels), value in world.front.metrics().items()]
    return {
        has.get("outcome") or has["kind"]: value
        for name, has, value in samples
        if name in (REQUESTS, TOKENS) and has["team"] == team
    }


def test_every_team_has_its_series_before_its_first_request(teams: World) -> None:
    assert set(taken(teams, "plain")) == {"ok", "refused", "error", "prompt", "cached", "output"}


def test_a_team_is_charged_with_what_its_keys_ask_for_and_get(teams: World) -> None:
    teams.engine.script = Script(("a",) * 5)
    ask(teams, "web")
    ask(teams, "web-too", stream=False)
    teams.engine.script = Script(("a",) * 2)
    ask(teams, "night")
    nothing = {"refused": 0, "error": 0, "cached": 0}
    assert taken(teams, "web") == nothing | {"ok": 2, "prompt": 2 * PROMPT_TOKENS, "output": 10}
    assert taken(teams, "night") == nothing | {"ok": 1, "prompt": PROMPT_TOKENS, "output": 2}


def test_a_team_is_refused_by_its_own_limits_only(teams: World) -> None:
    assert [ask(teams, "few") for _ in range(3)] == [200, 429, 429]
    assert taken(teams, 'a "few"').items() >= {"ok": 1, "refused": 2, "error": 0}.items()
    teams.engine.script = Script(status=429, body=b"{}")
    assert ask(teams, "unlucky") == 503
    assert ask(teams, "unlucky", bogus=1) == 400
    assert taken(teams, "unlucky") == {"ok": 0, "refused": 0, "error": 2, "prompt": 0, "cached": 0, "output": 0}


def test_a_broken_stream_is_charged_with_what_was_written(teams: World) -> None:
    teams.engine.script = Script(("a",) * 9, fault="fin", at=6)
    ask(teams, "broken")
    charged = taken(teams, "broken")
    assert charged["error"] == 1
    assert 4 <= charged["output"] <= 6


def test_a_request_without_a_known_key_is_no_team_s_whatever_it_claims(teams: World) -> None:
    claims = {"X-Tidegate-Team": "invented", "OpenAI-Organization": "invented"}
    before = teams.front.metric(REQUESTS)
    statuses = [
        teams.ask(CHAT, chat_body(user="invented"), key=key, headers=claims).status
        for key in (None, "tg_invented", "invented", KEYS["plain"]["key"])
    ]
    assert statuses == [401, 401, 401, 200]
    assert teams.front.metric(REQUESTS) == before + 1
    assert "invented" not in {dict(labels).get("team") for _, labels in teams.front.metrics()}


def test_every_series_of_ours_has_our_prefix_and_a_help_text(solo: World) -> None:
    text = solo.front.get(f"{solo.front.admin_url}/metrics")[1]
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith(("tidegate_", "process_", "python_")) for name in names), names
    helps = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP") and len(line.split()) > 3}
    assert names == helps
