"""Methods, upgrades and HTTP versions on the generation routes."""

from __future__ import annotations

import pytest

from tests.support.world import BODIES, CHAT, EMBEDDINGS, World, chat_body

# The list of stored chat completions has the path of one of them.
LISTED = CHAT
METHODS = ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"]
OTHERS = [(path, method) for path in [*BODIES, EMBEDDINGS] for method in METHODS if (path, method) != (LISTED, "GET")]


@pytest.mark.parametrize(("path", "method"), OTHERS)
def test_other_methods_are_405_with_allow(solo: World, path: str, method: str) -> None:
    answer = solo.ask(path, method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == ("GET, POST" if path == LISTED else "POST")
    if path != "/v1/messages":
        assert answer.error["type"] == "invalid_request_error"


def test_head_is_405_without_a_body_and_the_connection_goes_on(solo: World) -> None:
    with solo.wire() as wire:
        answer = wire.send(solo.request(CHAT, method="HEAD")).answer(to_head=True)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
        assert wire.send(solo.chat()).answer().text == "Hello, world"


def test_a_body_under_a_wrong_method_is_read_over(solo: World) -> None:
    with solo.wire() as wire:
        assert wire.send(solo.request(CHAT, chat_body(), method="PUT")).answer().status == 405
        assert wire.send(solo.chat()).answer().text == "Hello, world"


def test_connect_opens_no_tunnel(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(b"CONNECT engine:80 HTTP/1.1\r\nHost: engine:80\r\n\r\n")
        assert wire.answer().status >= 400


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_an_upgrade_is_ignored_on_the_hot_path(solo: World, protocol: str) -> None:
    asking = {"Connection": "Upgrade", "Upgrade": protocol, "HTTP2-Settings": "AAMAAABk"}
    assert solo.say(headers=asking).text == "Hello, world"


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_an_upgrade_is_ignored_on_the_cold_path(solo: World, protocol: str) -> None:
    asking = {"Connection": "Upgrade", "Upgrade": protocol, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    asking |= {"Sec-WebSocket-Version": "13"}
    assert solo.ask("/v1/models", headers=asking).status == 200


def test_a_stream_over_http_1_0_is_unframed_and_ends_by_close(solo: World) -> None:
    with solo.wire() as wire:
        answer = wire.send(solo.request(CHAT, chat_body(), version="1.0")).answer()
        assert answer.framing == "close"
        assert answer.text == "Hello, world"
        assert b"\r\n" not in answer.body
        assert answer.events[-1] == b"data: [DONE]\n\n"


def test_a_document_over_http_1_0_ends_by_close(solo: World) -> None:
    with solo.wire() as wire:
        answer = wire.send(solo.request(CHAT, chat_body(stream=False), version="1.0")).answer()
        assert answer.framing in ("length", "close")
        assert answer.json()["object"] == "chat.completion"
        assert wire.is_closed()


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_keep_alive_is_kept_only_if_announced(solo: World, stream: bool) -> None:
    asking = solo.request(CHAT, chat_body(stream=stream), version="1.0", headers={"Connection": "keep-alive"})
    with solo.wire() as wire:
        answer = wire.send(asking).answer()
        assert answer.status == 200
        assert answer.framing != "chunked"
        kept = answer.headers.get("connection", "").lower() == "keep-alive" and answer.framing == "length"
        if kept:
            assert wire.send(asking).answer().status == 200
        else:
            assert wire.is_closed()
