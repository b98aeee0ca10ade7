"""An OpenAI-compatible server whose answers follow from the request alone, for load tests spread over processes.

usage: prompt_tokens is the characters of all messages, completion_tokens is max_tokens. It can stall as a whole.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class EchoServer:
    """`stall`: from and until when nothing is answered, seconds since the first request."""

    answer_seconds: float = 0.0
    stall: tuple[float, float] = (0.0, 0.0)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> EchoServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server._wait(body)
                _answer(self, body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def _wait(self, body: dict[str, Any]) -> None:
        if not self.requests:
            self._began = time.perf_counter()
        self.requests.append(body)
        since = time.perf_counter() - self._began
        begin, end = self.stall
        time.sleep(self.answer_seconds + (end - since if begin <= since < end else 0.0))


def _answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    tokens = body["max_tokens"]
    usage = {"prompt_tokens": sum(len(m["content"]) for m in body["messages"]), "completion_tokens": tokens}
    events = [{"choices": [{"index": 0, "delta": {"content": "a "}}]} for _ in range(tokens)]
    told = [json.dumps(event) for event in [*events, {"choices": [], "usage": usage}]]
    content = "".join(f"data: {text}\n\n" for text in [*told, "[DONE]"]).encode()
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
