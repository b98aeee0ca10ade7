"""A server that answers each request with exactly the bytes, pauses and ends it was given; it knows no engine.

It is for answers that no vLLM gives: what an engine sends by itself is the scripted engine's.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from types import TracebackType
from typing import Any, TypeAlias

_RESET = struct.pack("ii", 1, 0)


class End(Enum):
    """How a connection ends in the middle of an answer."""

    CLOSE = "close"
    RESET = "reset"


Step: TypeAlias = bytes | float | End | threading.Event
"""Bytes to send, seconds to wait, an end, an event to wait for."""


class LoadServer:
    """The n-th request gets the n-th answer, whatever its connection; the last answer serves for all further ones."""

    def __init__(self, *answers: Sequence[Step], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        """Fields by lower-case name (":line" is the request line) and the parsed body."""
        self.connections = 0
        self._answers, self._tls, self._host = answers, tls, host
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._left = threading.Event()

    def __enter__(self) -> LoadServer:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, 0), family=family)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        # A thread that is in accept() keeps a closed listener alive: shutting it down wakes the thread.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1"

    def drop_connections(self) -> None:
        """Close them all, keep listening."""
        with self._lock:
            for sock in self._open:
                _ends(lambda sock=sock: sock.shutdown(socket.SHUT_RDWR))
            self._open.clear()

    def is_left(self, within: float) -> bool:
        """Whether a client leaves in the middle of an answer by then."""
        return self._left.wait(within)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not _ends(lambda: self._converse(self._tls.wrap_socket(sock, server_side=True) if self._tls else sock)):
            self._left.set()
        sock.close()

    def _converse(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader:
            while line := reader.readline().decode().strip():
                fields = {":line": line}
                while field := reader.readline().decode().strip():
                    name, _, value = field.partition(":")
                    fields[name.lower()] = value.strip()
                body = reader.read(int(fields.get("content-length", 0)))
                with self._lock:
                    self.requests.append((fields, json.loads(body) if body else None))
                    answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
                if not _play(sock, answer):
                    return


def _play(sock: socket.socket, answer: Sequence[Step]) -> bool:
    """False when the answer ended the connection."""
    for step in answer:
        if isinstance(step, bytes):
            sock.sendall(step)
        elif isinstance(step, threading.Event):
            step.wait(30)
        elif isinstance(step, End):
            if step is End.RESET:
                time.sleep(0.02)  # a reset throws away what its receiver has not read yet
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return False
        else:
            time.sleep(step)
    return True


def _ends(action: Callable[[], object]) -> bool:
    """False when the other side had left."""
    try:
        action()
    except (OSError, ValueError):
        return False
    return True


def head(status: int = 200, **fields: str) -> bytes:
    """A status line and fields; `_` in a name stands for `-`."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def document(status: int, content: bytes, **fields: str) -> bytes:
    """A whole answer with a known length."""
    fields = {"content_type": "application/json", "content_length": str(len(content)), **fields}
    return head(status, **fields) + content


STREAM = head(content_type="text/event-stream", transfer_encoding="chunked")
STREAM_END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk(*events: bytes) -> bytes:
    """The events as one HTTP chunk."""
    content = b"".join(events)
    return b"%x\r\n%s\r\n" % (len(content), content)


def stream(*events: bytes) -> list[Step]:
    """A whole stream with its [DONE], an HTTP chunk and a write per event."""
    return [STREAM, *map(chunk, events), chunk(DONE), STREAM_END]


def event(**fields: Any) -> bytes:
    """A server-sent event of a chat completion's chunk."""
    return b"data: %s\n\n" % json.dumps({"id": "c", "object": "chat.completion.chunk", **fields}).encode()


def delta(usage: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    """An event of one choice, with this in its delta."""
    choices = [{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}]
    return event(choices=choices, **({} if usage is None else {"usage": usage}))


def usage(output_tokens: int, prompt_tokens: int = 7, cached_tokens: int | None = None) -> dict[str, Any]:
    """Usage as vLLM tells it."""
    details = None if cached_tokens is None else {"cached_tokens": cached_tokens}
    total = prompt_tokens + output_tokens
    counts = {"prompt_tokens": prompt_tokens, "completion_tokens": output_tokens, "total_tokens": total}
    return {**counts, "prompt_tokens_details": details}
