"""Odd targets and hosts: none opens a route without a key, none reaches an engine under another name."""

from __future__ import annotations

import pytest

from tests.support.world import BODIES, CHAT, World, chat_body

DISGUISES = [
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat%2fcompletions",
    "/%76%31/chat/completions",
    "/v1/chat/completions/",
    "/v1/chat/./completions",
    "/v1/models/../chat/completions",
    "/livez/../v1/chat/completions",
    "/livez;/v1/chat/completions",
    "/v1/chat/completions%00",
    "/v1/chat/completions%20",
    "/V1/Chat/Completions",
    "/v1/chat\\completions",
    "http://front.test/v1/chat/completions",
    "http://front.test/livez?/v1/chat/completions",
    "http://front.test:80@evil.test/v1/chat/completions",
    "/v1/chat/completions#/livez",
    "/v1/chat/completions?key=/livez",
    "*",
]


@pytest.mark.parametrize("target", DISGUISES)
def test_a_disguised_path_needs_a_key(solo: World, target: str) -> None:
    answer = solo.ask(target, chat_body(stream=False), key=None)
    assert answer.status in (400, 401, 404, 405)
    assert not solo.engine.seen


@pytest.mark.parametrize("target", DISGUISES)
def test_a_disguised_path_with_a_key_is_the_route_or_nothing(solo: World, target: str) -> None:
    answer = solo.ask(target, chat_body(stream=False))
    assert answer.status in (200, 400, 401, 404, 405)
    assert {seen.path for seen in solo.engine.seen} <= {CHAT}
    assert bool(solo.engine.seen) == (answer.status == 200)


@pytest.mark.parametrize("target", ["/v1//models", "/%76%31/models", "/v1/models/", "/v1/models%2f", "/V1/models"])
def test_a_disguised_cold_path_needs_a_key(solo: World, target: str) -> None:
    assert solo.ask(target, key=None).status in (401, 404)


@pytest.mark.parametrize(
    "host", ["front.test/livez?", "front.test/livez#", "localhost:1/livez", "a b", "", "x@y/livez"]
)
def test_no_host_header_opens_a_route(solo: World, host: str) -> None:
    for path, body in (("/v1/models", None), (CHAT, chat_body(stream=False))):
        assert solo.ask(path, body, key=None, headers={"Host": host}).status in (400, 401)
    assert not solo.engine.seen


def test_a_query_string_is_no_part_of_the_route(solo: World) -> None:
    assert solo.ask(f"{CHAT}?api-version=2026-01-01", chat_body()).text == "Hello, world"


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/tokenize", "/inference/v1/generate"])
def test_engine_and_admin_routes_do_not_exist_on_the_public_port(solo: World, path: str) -> None:
    assert solo.ask(path).status == 404
    assert solo.ask(path, {"prompt": "x"}).status == 404
    assert not solo.engine.seen


@pytest.mark.parametrize("path", BODIES)
def test_forwarded_and_rewriting_headers_change_nothing(solo: World, path: str) -> None:
    sly = {"X-Original-URL": "/livez", "X-Rewrite-URL": "/livez", "X-Forwarded-Prefix": "/livez"}
    sly |= {"X-HTTP-Method-Override": "GET"}
    assert solo.ask(path, BODIES[path], key=None, headers=sly).status == 401
