"""What an engine gets to see of a client's request."""

from __future__ import annotations

import pytest

from serving.front.keys import mint
from tests.support.raw_http import request
from tests.support.world import BODIES, CHAT, HELLO, RESPONSES, MakeWorld, World, chat_body


def test_the_fields_of_the_request_arrive(solo: World) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "url": {"type": "string"}}}}
    fields = {"temperature": 0.5, "stop": ["a"], "seed": 3, "tools": [tool], "logit_bias": {"5": -100}, "max_tokens": 9}
    solo.say(**fields)
    assert fields.items() <= solo.engine.seen[0].body.items()
    assert solo.engine.seen[0].body["messages"] == HELLO


def test_the_request_id_is_ours(solo: World) -> None:
    answer = solo.say(headers={"X-Request-Id": "mine"})
    assert solo.engine.seen[0].headers["x-request-id"] == answer.headers["x-request-id"]


def test_no_header_of_the_client_passes(solo: World) -> None:
    sly = {"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "X-Api-Key": solo.front.key, "X-Data-Parallel-Rank": "1"}
    solo.say(headers={**sly, "User-Agent": "client/1", "Accept-Encoding": "gzip", "X-Custom": "1"})
    headers = solo.engine.seen[0].headers
    assert not {"authorization", "cookie", "x-forwarded-for", "x-api-key", "x-data-parallel-rank"} & headers.keys()
    assert "x-custom" not in headers
    assert headers.get("user-agent") != "client/1"
    assert "gzip" not in headers.get("accept-encoding", "")
    assert headers["host"] == f"127.0.0.1:{solo.engine.port}"
    assert solo.front.key not in str(headers)


def test_streams_are_asked_with_usage_and_documents_are_not(solo: World) -> None:
    solo.say()
    solo.say(stream=False)
    stream, document = (seen.body for seen in solo.engine.seen)
    assert stream["stream_options"]["include_usage"] is True
    assert document.get("stream_options") is None


def test_other_stream_options_are_kept(solo: World) -> None:
    solo.say(stream_options={"continuous_usage_stats": True})
    assert solo.engine.seen[0].body["stream_options"] == {"continuous_usage_stats": True, "include_usage": True}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_engines_are_never_asked_to_store(solo: World, path: str) -> None:
    solo.ask(path, {**BODIES[path], "store": True})
    assert solo.engine.seen[0].body.get("store", False) is False


def test_what_an_engine_does_not_know_is_not_sent(solo: World) -> None:
    solo.say(metadata={"a": "b"}, prompt_cache_key="x", safety_identifier="y")
    assert not {"metadata", "prompt_cache_key", "safety_identifier"} & solo.engine.seen[0].body.keys()


def test_the_cache_salt_is_one_per_team_and_the_engines_key_is_the_engines(world: MakeWorld) -> None:
    teams = enumerate(("red", "red", "blue"))
    keys = [{"name": f"k{number}", "team": team, "key": mint()} for number, team in teams]
    shared = world(settings={"front.engine_api_key": "engine-secret"}, keys=keys)
    for entry in keys:
        for _ in range(2):
            assert shared.ask(CHAT, chat_body(), key=entry["key"]).status == 200
    salts = [seen.body["cache_salt"] for seen in shared.engine.seen]
    assert salts[0] == salts[1] == salts[2] == salts[3]
    assert salts[4] == salts[5] != salts[0]
    assert "red" not in salts[0]
    assert shared.engine.seen[0].headers["authorization"] == "Bearer engine-secret"
    assert 16 <= len(salts[0]) <= 128
    assert not set("@/\\\0") & set("".join(salts))


def test_the_cache_salt_outlives_a_restart_if_its_secret_is_set(fresh_world: MakeWorld) -> None:
    key = mint()
    keys = [{"name": "k", "team": "red", "key": key}]
    salts = []
    for secret in ("one secret", "one secret"):
        world = fresh_world(settings={"front.cache_salt_secret": secret}, keys=keys)
        world.ask(CHAT, chat_body(), key=key)
        salts.append(world.engine.seen[0].body["cache_salt"])
    assert salts[0] == salts[1]


def test_a_smuggled_pair_of_equal_fields_cannot_pass_a_salt(solo: World) -> None:
    raw = b'{"model":"tiny","messages":[{"role":"user","content":"x"}],"cache_salt":null,"cache_salt":"mine"}'
    with solo.wire() as wire:
        answer = wire.send(request(CHAT, raw, key=solo.front.key)).answer()
    assert answer.status == 400 or solo.engine.seen[0].body["cache_salt"] != "mine"
