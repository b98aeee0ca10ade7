"""A client made of a bare socket: sends any bytes, reads answers with their framing visible; it forgives nothing."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["complete", "cut"]


@dataclass
class Answer:
    """One HTTP answer. `end` is `cut` when the connection ended before the framing said so."""

    status: int
    version: str
    headers: dict[str, str]
    body: bytes = b""
    end: End = "complete"
    framing: str = ""
    chunks: list[bytes] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The OpenAI error object, checked to be exactly that."""
        body = self.json()
        assert list(body) == ["error"], body
        assert set(body["error"]) == {"message", "type", "param", "code"}, body
        assert isinstance(body["error"]["message"], str), body
        assert body["error"]["message"], body
        assert self.headers.get("content-type", "").startswith("application/json"), self.headers
        assert self.headers.get("x-request-id"), self.headers
        return body["error"]

    @property
    def events(self) -> list[bytes]:
        """The SSE events, comments left out."""
        return [event for event in split_events(self.body) if not event.startswith(b":")]

    @property
    def comments(self) -> list[bytes]:
        return [event for event in split_events(self.body) if event.startswith(b":")]

    @property
    def text(self) -> str:
        """What a chat client would show."""
        deltas = [choice["delta"] for event in parsed(self.events) for choice in event.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)


def split_events(body: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in body.split(b"\n\n") if event]


def parsed(events: list[bytes]) -> list[dict[str, Any]]:
    payloads = [event.partition(b"data: ")[2] for event in events]
    return [json.loads(payload) for payload in payloads if payload.strip() != b"[DONE]"]


def request(
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    version: str = "1.1",
) -> bytes:
    """The bytes of one request; a dict body is sent as JSON, bytes as they are."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"Host": "front.test"}
    if key is not None:
        fields["Authorization"] = f"Bearer {key}"
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    fields |= headers or {}
    lines = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


class Wire:
    """One TCP connection."""

    def __init__(self, address: tuple[str, int], *, timeout: float = 10, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *parts: bytes, gap: float = 0.0) -> Wire:
        """Each part in its own TCP segment, `gap` seconds apart."""
        for position, part in enumerate(parts):
            if position and gap:
                time.sleep(gap)
            self.sock.sendall(part)
        return self

    def answer(self, *, to_head: bool = False) -> Answer:
        """The next whole answer, interim ones collected."""
        answer = self.head()
        if to_head or answer.status in (204, 304):
            return answer
        for piece in self.pieces(answer):
            answer.body += piece
        return answer

    def head(self) -> Answer:
        interim: list[int] = []
        while True:
            answer = self._head()
            if answer.status >= 200:
                answer.interim = interim
                return answer
            interim.append(answer.status)

    def pieces(self, answer: Answer) -> Iterator[bytes]:
        """The body's pieces as they arrive, unframed; sets `answer.end`."""
        if answer.framing == "chunked":
            yield from self._chunks(answer)
        elif answer.framing == "length":
            yield from self._length(answer, int(answer.headers["content-length"]))
        else:
            while self.buffer or self._more():
                yield self._take(len(self.buffer))
            answer.end = "complete"

    def events(self, answer: Answer) -> Iterator[bytes]:
        """SSE events and comments as they arrive; the whole body is in `answer.body` afterwards."""
        rest = b""
        for piece in self.pieces(answer):
            answer.body += piece
            *whole, rest = (rest + piece).split(b"\n\n")
            for event in whole:
                yield event + b"\n\n"

    def is_closed(self, within: float = 5.0) -> bool:
        """True once the peer has ended the connection, all that it sent before read and dropped."""
        self.sock.settimeout(within)
        try:
            while self._more():
                self.buffer = b""
        except TimeoutError:
            return False
        return True

    def is_silent(self, seconds: float) -> bool:
        """True if nothing comes for that long and the connection stays open."""
        self.sock.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return not self.buffer
        return False

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _head(self) -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise ConnectionError(f"the connection ended before a head; got {self.buffer[:200]!r}")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        version, status, *_ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        answer = Answer(int(status), version, headers)
        if "transfer-encoding" in headers:
            assert "content-length" not in headers, headers
            answer.framing = headers["transfer-encoding"]
        else:
            answer.framing = "length" if "content-length" in headers else "close"
        return answer

    def _chunks(self, answer: Answer) -> Iterator[bytes]:
        answer.end = "cut"
        while True:
            while b"\r\n" not in self.buffer:
                if not self._more():
                    return
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            size = int(line, 16)
            while len(self.buffer) < size + 2:
                if not self._more():
                    return
            chunk, ending = self._take(size), self._take(2)
            assert ending == b"\r\n", (chunk, ending)
            if size == 0:
                answer.end = "complete"
                return
            answer.chunks.append(chunk)
            yield chunk

    def _length(self, answer: Answer, length: int) -> Iterator[bytes]:
        answer.end = "cut"
        while length:
            if not self.buffer and not self._more():
                return
            piece = self._take(min(length, len(self.buffer)))
            length -= len(piece)
            yield piece
        answer.end = "complete"

    def _take(self, size: int) -> bytes:
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _more(self) -> bool:
        """Read once; False at the connection's end, orderly or reset."""
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        self.ended = not data
        return bool(data)
