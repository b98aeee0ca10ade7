"""How a request may be framed and cut into segments, and which framings are refused."""

from __future__ import annotations

import json

import pytest

from tests.support.raw_http import Answer
from tests.support.world import CHAT, World, chat_body

HOST = b"Host: front.test\r\n"


def chunked(content: bytes, size: int = 11) -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"


def head(world: World, *fields: str) -> bytes:
    """The head of a chat request whose body framing is up to `fields`."""
    lines = [f"POST {CHAT} HTTP/1.1", "Host: front.test", f"Authorization: Bearer {world.front.key}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def refused(world: World, raw: bytes) -> Answer:
    """The answer to `raw`, after which the connection must end and nothing may have reached the engine."""
    with world.wire() as wire:
        answer = wire.send(raw).answer()
        assert wire.is_closed()
    assert not world.engine.seen
    return answer


def test_a_chunked_request_body_reaches_the_engine_whole(solo: World) -> None:
    body = json.dumps(chat_body(user="chünked"), ensure_ascii=False).encode()
    with solo.wire() as wire:
        assert wire.send(head(solo, "Transfer-Encoding: chunked") + chunked(body)).answer().text == "Hello, world"
        assert wire.send(solo.chat()).answer().status == 200
    assert solo.engine.seen[0].body["user"] == "chünked"


def test_a_chunked_body_may_come_in_single_bytes(solo: World) -> None:
    raw = head(solo, "Transfer-Encoding: chunked") + chunked(json.dumps(chat_body()).encode(), size=1)
    with solo.wire() as wire:
        assert wire.send(*(raw[i : i + 1] for i in range(len(raw)))).answer().text == "Hello, world"


def test_a_request_sent_byte_by_byte_is_understood(solo: World) -> None:
    raw = solo.chat(user="ü😀")
    with solo.wire() as wire:
        assert wire.send(*(raw[i : i + 1] for i in range(len(raw)))).answer().text == "Hello, world"
    assert solo.engine.seen[0].body["user"] == "ü😀"


def test_expect_100_continue_is_answered_before_the_body_is_sent(solo: World) -> None:
    body = json.dumps(chat_body()).encode()
    with solo.wire() as wire:
        wire.send(head(solo, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert wire._head().status == 100
        assert wire.send(body).answer().text == "Hello, world"
        assert wire.send(solo.chat(stream=False)).answer().interim == []


def test_expect_100_continue_with_the_body_at_once_gets_one_answer(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.request(CHAT, chat_body(), headers={"Expect": "100-continue"}))
        assert wire.answer().text == "Hello, world"
        assert wire.is_silent(0.1)


def test_expect_with_a_body_over_the_limit_is_refused_without_100(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(head(solo, "Content-Length: 99999999999", "Expect: 100-continue"))
        answer = wire.answer()
    assert (answer.status, answer.interim) == (413, [])


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: -1"],
        ["Content-Length: 0x10"],
        ["Content-Length: 5, 6"],
        ["Content-Length: 99999999999999999999999"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Content-Length : 5"],
        ["X-Folded: one\r\n two", "Content-Length: 5"],
        ["X-Nul: a\0b", "Content-Length: 5"],
        ["X-Bare-CR: a\rb", "Content-Length: 5"],
        ["No colon here"],
        ["Content-Length: 5", "Bad Name: x"],
        ["Host: second.test", "Content-Length: 5"],
    ],
    ids=lambda fields: "|".join(fields).replace("\r\n", "\\r\\n").replace("\0", "\\0").replace("\r", "\\r"),
)
def test_ambiguous_framing_is_400_and_close(solo: World, fields: list[str]) -> None:
    answer = refused(solo, head(solo, *fields) + b"hello")
    assert answer.status in (400, 413, 501)
    assert answer.error["type"] == "invalid_request_error"


NOT_HTTP = {
    "bare-LF": b"POST /v1/chat/completions HTTP/1.1\nHost: front.test\nContent-Length: 0\n\n",
    "TLS-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "extra-word": b"POST /v1/chat/completions HTTP/1.1 extra\r\n" + HOST + b"\r\n",
    "NUL-in-method": b"P\x00ST /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL-in-path": b"GET /v1/mod\x00els HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-host": b"GET /v1/models HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_400_and_close(solo: World, raw: bytes) -> None:
    answer = refused(solo, raw)
    assert answer.status in (400, 505)
    assert answer.error["type"] == "invalid_request_error"


def test_a_bad_chunk_size_is_400_and_close(solo: World) -> None:
    answer = refused(solo, head(solo, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    assert answer.status == 400
    assert answer.error["code"]


def test_garbage_after_a_good_request_ends_the_connection_after_its_answer(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.chat() + b"\x00\x01garbage\r\n\r\n")
        answer = wire.answer()
        assert (answer.text, answer.end) == ("Hello, world", "complete")
        assert wire.is_closed()


def test_garbage_after_a_cold_request_never_comes_before_its_answer(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.request("/v1/models") + b"\x00\x01garbage\r\n\r\n")
        assert wire.answer().status == 200
        assert wire.is_closed()


def test_a_smuggled_second_request_never_reaches_the_engine(solo: World) -> None:
    inner = solo.chat(user="smuggled")
    raw = head(solo, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner
    assert refused(solo, raw).status == 400
