"""The routes that exist, what they answer, and in which dialect they refuse."""

from __future__ import annotations

import pytest

from tests.support.world import BODIES, CHAT, EMBEDDINGS, HELLO, MESSAGES, RESPONSES, MakeWorld, World


def test_models_lists_what_the_engines_serve(solo: World) -> None:
    answer = solo.ask("/v1/models")
    listing = answer.json()
    assert answer.status == 200
    assert listing["object"] == "list"
    assert [(card["id"], card["object"]) for card in listing["data"]] == [("tiny", "model")]
    assert {"created", "owned_by"} <= listing["data"][0].keys()
    assert answer.headers["x-request-id"]


def test_one_model_can_be_asked_for_by_name(solo: World) -> None:
    assert solo.ask("/v1/models/tiny").json()["id"] == "tiny"
    refusal = solo.ask("/v1/models/none")
    assert (refusal.status, refusal.error["code"]) == (404, "model_not_found")


def test_models_need_a_key(solo: World) -> None:
    assert solo.ask("/v1/models", key=None).error["code"] == "invalid_api_key"


def test_embeddings_are_answered(solo: World) -> None:
    answer = solo.ask(EMBEDDINGS, {"model": "tiny", "input": ["a", "b"]})
    assert [len(row["embedding"]) for row in answer.json()["data"]] == [3, 3]
    assert answer.body == solo.engine.seen[0].events[0]


def test_messages_take_anthropics_key_header(solo: World) -> None:
    answer = solo.ask(MESSAGES, BODIES[MESSAGES], key=None, headers={"x-api-key": solo.front.key})
    assert answer.json()["content"][0]["text"] == "Hello, world"


def test_a_message_stream_is_relayed_with_its_event_names(solo: World) -> None:
    answer = solo.ask(MESSAGES, {**BODIES[MESSAGES], "stream": True})
    assert answer.body == b"".join(solo.engine.seen[0].events)
    assert answer.events[0].startswith(b"event: message_start\n")
    assert answer.events[-1].startswith(b"event: message_stop\n")


def test_a_response_stream_is_relayed_with_its_event_names(solo: World) -> None:
    answer = solo.ask(RESPONSES, {**BODIES[RESPONSES], "stream": True})
    assert answer.body == b"".join(solo.engine.seen[0].events)
    assert answer.events[0].startswith(b"event: response.created\n")
    assert answer.events[-1].startswith(b"event: response.completed\n")


ANTHROPIC_REFUSALS = {
    "no-key": ({}, {"key": None}, 401, "authentication_error"),
    "wrong-key": ({}, {"key": "nope"}, 401, "authentication_error"),
    "bad-model": ({"model": "none"}, {}, 404, "not_found_error"),
    "no-messages": ({"messages": None}, {}, 400, "invalid_request_error"),
    "unknown-field": ({"bogus": 1}, {}, 400, "invalid_request_error"),
}


@pytest.mark.parametrize("case", ANTHROPIC_REFUSALS)
def test_messages_refuse_in_anthropics_shape(solo: World, case: str) -> None:
    fields, options, status, kind = ANTHROPIC_REFUSALS[case]
    body = {name: value for name, value in {**BODIES[MESSAGES], **fields}.items() if value is not None}
    answer = solo.ask(MESSAGES, body, **options)
    assert answer.status == status
    refusal = answer.json()
    assert refusal["type"] == "error"
    assert refusal["error"]["type"] == kind
    assert refusal["error"]["message"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v2/chat/completions", "/v1", "/favicon.ico"])
@pytest.mark.parametrize("body", [None, {"model": "tiny"}], ids=["GET", "POST"])
def test_an_unknown_route_is_404_in_openais_shape(solo: World, path: str, body: dict[str, str] | None) -> None:
    answer = solo.ask(path, body)
    assert answer.status == 404
    assert answer.error["type"] == "invalid_request_error"


def test_a_wrong_method_on_a_cold_route_is_405_in_openais_shape(solo: World) -> None:
    answer = solo.ask("/v1/models", {}, method="POST")
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert answer.error["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_model_is_404_naming_the_parameter(solo: World, path: str) -> None:
    answer = solo.ask(path, {**BODIES[path], "model": "no-such-model"})
    assert answer.status == 404
    assert not solo.engine.seen
    if path != MESSAGES:
        assert (answer.error["param"], answer.error["code"]) == ("model", "model_not_found")
        assert "no-such-model" in answer.error["message"]


def test_a_front_may_be_the_engine_of_another(fresh_world: MakeWorld) -> None:
    upper = fresh_world(1)
    lower = fresh_world(started=False)
    lower.front.command += [
        "--engine",
        f"{upper.front.base_url}/v1",
        "--set",
        f"front.engine_api_key={upper.front.key}",
    ]
    lower.front.start()
    assert {lower.say().text for _ in range(4)} == {"Hello, world"}
    assert len(lower.engine.seen) == len(upper.engine.seen) == 2


def test_a_server_that_lists_no_models_is_asked_for_any(fresh_world: MakeWorld) -> None:
    world = fresh_world(started=False)
    world.engine.lists_models = False
    world.front.start()
    assert world.say(model="whatever").text == "Hello, world"
    assert world.engine.seen[0].body["model"] == "whatever"
    assert world.ask("/v1/models").json()["data"] == []
    assert world.front.metric("tidegate_requests_total", model="unlisted") == 1


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
def test_state_that_is_not_there_is_404_naming_the_field(solo: World, field: str) -> None:
    answer = solo.ask(RESPONSES, {**BODIES[RESPONSES], field: "resp_1"})
    assert (answer.status, answer.error["param"]) == (404, field)


def test_background_mode_needs_a_stored_response(solo: World) -> None:
    answer = solo.ask(RESPONSES, {**BODIES[RESPONSES], "background": True})
    assert (answer.status, answer.error["param"]) == (400, "background")
    assert solo.ask(RESPONSES, {**BODIES[RESPONSES], "background": False}).status == 200


def test_the_same_stream_can_be_asked_for_with_either_key_header(solo: World) -> None:
    body = {"model": "tiny", "messages": HELLO, "stream": True}
    assert solo.ask(CHAT, body, key=None, headers={"x-api-key": solo.front.key}).text == "Hello, world"
    assert solo.ask(CHAT, body, key=None, headers={"authorization": f"bearer {solo.front.key}"}).status == 200
